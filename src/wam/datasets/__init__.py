"""Kedro catalog types: bytes on disk to objects and back, each saved whole or not at all."""

from wam.datasets.arrays import ArrayBlocks, Arrays, ArraysDataset
from wam.datasets.artefact import ArtefactDataset
from wam.datasets.checkpoints import CheckpointDataset
from wam.datasets.folders import DirectoryDataset, EpisodesDataset, FilesDataset, NamedFiles
from wam.datasets.lineage import LineageDataset
from wam.datasets.values import JsonDataset, TableDataset, TextDataset
from wam.datasets.work_dir import WorkDirDataset

__all__ = [
    "ArrayBlocks",
    "Arrays",
    "ArraysDataset",
    "ArtefactDataset",
    "CheckpointDataset",
    "DirectoryDataset",
    "EpisodesDataset",
    "FilesDataset",
    "JsonDataset",
    "LineageDataset",
    "NamedFiles",
    "TableDataset",
    "TextDataset",
    "WorkDirDataset",
]
