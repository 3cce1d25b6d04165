"""Arrays out of MATLAB files, whichever of the two formats they are in."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.tracklets import DataSetError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512)  # MATLAB puts a header of 512 bytes of its own before the HDF5 file


def read_mat(path: Path, key: str) -> NDArray[Any]:
    """Read one array of a `.mat` file of version 5 (MATLAB up to 7.2) or 7.3.

    Args:
        path: the file.
        key: the variable's name in MATLAB.

    Returns:
        The array with its axes as MATLAB has them, at least two; a list of n numbers is (1, n) or (n, 1).

    Raises:
        DataSetError: there is no such file, it is no MATLAB file, holds no array of numbers by that name, or the
            package that reads it is not installed.
    """
    try:
        with path.open("rb") as file:
            head = file.read(max(_HDF5_PLACES) + len(_HDF5_SIGNATURE))
    except OSError as error:
        raise DataSetError(
            f"{path} cannot be read: {error.strerror}; see docs/datasets.md for what lies where"
        ) from error
    is_hdf5 = any(head.startswith(_HDF5_SIGNATURE, place) for place in _HDF5_PLACES)
    array = _read_version_73(path, key) if is_hdf5 else _read_version_5(path, key)
    if array.dtype.kind not in "iuf":
        raise DataSetError(f"{key!r} in {path} is of type {array.dtype}, expected numbers")
    return array


def read_whole_numbers(path: Path, key: str) -> NDArray[np.int64]:
    """Read an array as int64; MATLAB often keeps whole numbers as floating-point ones.

    Raises:
        DataSetError: as `read_mat`, or a number is not whole.
    """
    array = read_mat(path, key)
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise DataSetError(f"{key!r} in {path} holds numbers that are not whole")
    return whole


def _read_version_5(path: Path, key: str) -> NDArray[Any]:
    try:
        from scipy.io import loadmat, whosmat
    except ImportError as error:
        raise _package_missing(path, "SciPy") from error
    try:
        names = [name for name, _shape, _kind in whosmat(path)]
        values = loadmat(path, variable_names=[key]) if key in names else {}
    except Exception as error:
        # SciPy raises whatever the damaged bytes happen to lead to: ValueError, TypeError, zlib.error and more.
        raise DataSetError(f"{path} is not a MATLAB file, or is damaged: {error}") from error
    if key not in values:
        raise _key_missing(path, key, names)
    return np.asarray(values[key])


def _read_version_73(path: Path, key: str) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise _package_missing(path, "h5py") from error
    try:
        with h5py.File(path, "r") as file:
            names = [name for name in file if isinstance(file[name], h5py.Dataset)]
            if key not in names:
                raise _key_missing(path, key, names)
            # MATLAB writes columns first; HDF5 shows them as rows.
            return np.asarray(file[key][()]).T
    except (OSError, RuntimeError) as error:
        raise DataSetError(f"{path} is a damaged MATLAB 7.3 file: {error}") from error


def _key_missing(path: Path, key: str, names: list[str]) -> DataSetError:
    return DataSetError(f"{path} holds no array {key!r}, found {', '.join(names) or 'none'}")


def _package_missing(path: Path, package: str) -> DataSetError:
    return DataSetError(f"{path} needs {package}, which is not installed: pip install 'tfclip[training]'")
