import pytest
import torch

from wam.training.device import Precision, has_bf16, resolve_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "want"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({}, False),  # a processor of another maker
    ],
)
def test_auto_takes_bf16_where_the_processor_has_instructions_for_it(monkeypatch, capabilities, want):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_bf16(CPU) is want
    assert resolve_precision("auto", CPU) == ("bf16" if want else "fp32")


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_would_emulate_it_has_none(monkeypatch, native):
    def supported(*, including_emulation: bool = True) -> bool:
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert has_bf16(GPU) is native


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_a_named_precision_is_taken_as_it_is(monkeypatch, name: Precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": name == "fp32"})
    assert resolve_precision(name, CPU) == name
