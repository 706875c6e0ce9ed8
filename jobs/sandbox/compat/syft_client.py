"""What a job needs of syft-client, and nothing else: where the granted datasets are."""

import importlib.util
import os
from pathlib import Path

__all__ = ["load_dataset_code", "resolve_dataset_file_path", "resolve_dataset_files_path", "resolve_path"]
__version__ = "0.1.117"

_NOT_DATA = {"syft.pub.yaml", "private_metadata.yaml"}
_DATASETS = "syft_datasets"


def _root():
    folder = os.environ.get("SYFTBOX_FOLDER")
    if not folder:
        raise ValueError("SYFTBOX_FOLDER is not set")
    return Path(folder)


def _owner(owner_email):
    owner = owner_email or os.environ.get("SYFTBOX_EMAIL")
    if not owner:
        raise ValueError("SYFTBOX_EMAIL is not set")
    return owner


def _in_job():
    return os.environ.get("SYFT_IS_IN_JOB", "false").lower() == "true"


def _folder(dataset_name, owner_email):
    base = _root() / _owner(owner_email)
    if "/" in dataset_name or dataset_name in ("", ".", ".."):
        raise ValueError("%r is not the name of a dataset" % (dataset_name,))
    if not (base / "public" / _DATASETS / dataset_name / "dataset.yaml").is_file():
        raise FileNotFoundError("dataset %r does not exist here or was not granted to this job" % (dataset_name,))
    return base / ("private" if _in_job() else "public") / _DATASETS / dataset_name


def resolve_dataset_files_path(dataset_name, owner_email=None, **_):
    """All files of a dataset: the real ones in a job, the mock ones elsewhere."""
    folder = _folder(dataset_name, owner_email)
    skip = _NOT_DATA | (set() if _in_job() else {"dataset.yaml", "readme.md"})
    return [p for p in folder.iterdir() if p.is_file() and p.name not in skip]


def resolve_dataset_file_path(dataset_name, owner_email=None, **_):
    """The first file of a dataset."""
    files = resolve_dataset_files_path(dataset_name, owner_email)
    if not files:
        raise FileNotFoundError("dataset %r has no files" % (dataset_name,))
    return files[0]


def load_dataset_code(name, owner_email=None, **_):
    """The module "<dataset>.<module path>" that lies beside a dataset's files."""
    dataset, _, module = name.partition(".")
    if not module:
        raise ValueError("write <dataset>.<module>, not %r" % (name,))
    path = _folder(dataset, owner_email).joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        raise FileNotFoundError("dataset %r has no module %s" % (dataset, module))
    spec = importlib.util.spec_from_file_location(module.split(".")[-1], path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def resolve_path(path, **_):
    """A syft:// address, or a path below the SyftBox folder, as a path here."""
    text = str(path)
    if text.startswith("syft://"):
        text = text[len("syft://") :]
    return _root() / text.lstrip("/")
