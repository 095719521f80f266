"""What tells this program from others: its sources, and the libraries that make its models."""

from importlib.metadata import PackageNotFoundError

import pytest

from jobs.program import code_digest


def test_a_program_is_told_by_its_sources_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    first = code_digest.__wrapped__()
    assert first == code_digest.__wrapped__()
    monkeypatch.setattr("jobs.program.version_of_library", lambda name: "0.0.1")
    assert code_digest.__wrapped__() != first


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_a_program_is_told_by_the_library_of_its_networks_where_there_is_one(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another PyTorch makes another network of the same data; without it there are the other types."""

    def digest(found: str) -> str:
        def version_of(name: str) -> str:
            if name == library and not found:
                raise PackageNotFoundError(name)
            return found if name == library else "1"

        monkeypatch.setattr("jobs.program.version_of_library", version_of)
        return code_digest.__wrapped__()

    assert len({digest("2.5"), digest("2.6"), digest("")}) == 3
