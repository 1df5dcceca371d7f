"""The model folder: a loaded array is the saved one, aligned in memory, whether it was read or
mapped.
"""

import numpy as np
import polars as pl
import pytest

from warmstart.arrays import ALIGNMENT, aligned
from warmstart.recommend import model_folder as folder
from warmstart.recommend.model_folder import ModelFiles, read, write


@pytest.mark.parametrize("offset", [0, 4, 8, 24, 60])
def test_an_array_is_aligned_wherever_it_began(offset):
    memory = np.random.default_rng(0).integers(0, 256, 4 * 35 + 128, dtype=np.uint8)
    array = memory[offset : offset + 140].view(np.float32).reshape(5, 7)
    moved = aligned(array)
    assert moved.ctypes.data % ALIGNMENT == 0 and moved.flags.c_contiguous
    np.testing.assert_array_equal(moved.view(np.uint32), array.view(np.uint32))


@pytest.mark.parametrize(
    "array", [np.arange(12.0).reshape(3, 4).T, np.zeros((0, 3)), np.array(7), np.array([True])]
)
def test_any_layout_can_be_aligned(array):
    moved = aligned(array)
    assert moved.shape == array.shape and moved.dtype == array.dtype
    assert array.size == 0 or moved.ctypes.data % ALIGNMENT == 0
    np.testing.assert_array_equal(moved, array)


@pytest.mark.parametrize("large", [1, 100, 10**9])
def test_all_arrays_come_back_aligned_with_the_same_bits(tmp_path, monkeypatch, large):
    monkeypatch.setattr(folder, "LARGE", large)
    rng = np.random.default_rng(1)
    arrays = {
        "a.transposed": rng.normal(size=(3, 5)).astype(np.float32).T,
        "b/counts": rng.integers(0, 9, 13),
        "c": np.array([True, False, True]),
        "d": np.float64(2.5) * np.ones(()),
        "e": np.zeros((0, 4), dtype=np.float16),
    }
    write(
        tmp_path / "m", ModelFiles({"learner": "x"}, arrays, pl.DataFrame({"warmstart_id": [1, 2]}))
    )
    found = read(tmp_path / "m").arrays
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        assert array.size == 0 or found[name].ctypes.data % ALIGNMENT == 0, name
        np.testing.assert_array_equal(found[name], array)


def test_a_fitted_model_scores_from_aligned_arrays(log):
    import warmstart as ws

    model = ws.fit(log, learner="ridge", settings={"steps": 5, "validate_every": 5})
    parameters = model.scorer.model.state_dict().values()
    assert all(tensor.data_ptr() % ALIGNMENT == 0 for tensor in parameters)
    assert model.scorer.vectors.mT.data_ptr() % ALIGNMENT == 0
