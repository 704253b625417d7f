"""The play table: a CALVIN-compatible simulator on PyBullet, its scripted experts and its worker pool."""
