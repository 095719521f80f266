"""Pictures of predictors, as ``quicksilver plot`` leaves them: ``FOLDER/NAME/KIND.png``, listed and served."""

import re
from pathlib import Path

import msgspec
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse

SUFFIX = ".png"
_NAME = re.compile(r"\w[\w.@-]*", re.ASCII)  # of a folder or a file: no separator, and no dot first
NONE = "no such picture; GET /api/pictures lists those that there are"


class Picture(msgspec.Struct, frozen=True):
    """One picture; ``written_ns`` is when, nanoseconds since 1970."""

    kind: str
    url: str
    written_ns: int


class Pictures(msgspec.Struct, frozen=True):
    """All pictures of one name: a predictor's, a version's, or those of a whole TOML file."""

    name: str
    pictures: list[Picture]


def add_pictures(app: FastAPI, folder: Path | None) -> None:
    """Add ``/api/pictures``; without a folder, or while it is not there, there are none."""

    @app.get("/api/pictures")
    def listed() -> Response:
        """Return the pictures of predictors that ``quicksilver plot`` has drawn, by name."""
        return Response(msgspec.json.encode(pictures_in(folder) if folder else []), media_type="application/json")

    @app.get("/api/pictures/{name}/{file}")
    def picture(name: str, file: str) -> FileResponse:
        """Return a picture, as PNG."""
        path = picture_at(folder, name, file) if folder else None
        if path is None:
            raise HTTPException(404, NONE)
        return FileResponse(path, media_type="image/png")


def pictures_in(folder: Path) -> list[Pictures]:
    """Return the pictures in a folder, in order of name and kind."""
    by_name: dict[str, list[Picture]] = {}
    for path in sorted(folder.glob(f"*/*{SUFFIX}")):
        name = path.parent.name
        if picture_at(folder, name, path.name) is not None:
            one = Picture(path.stem, f"/api/pictures/{name}/{path.name}", path.stat().st_mtime_ns)
            by_name.setdefault(name, []).append(one)
    return [Pictures(name, some) for name, some in by_name.items()]


def picture_at(folder: Path, name: str, file: str) -> Path | None:
    """Return the path of a picture, None if it is none or lies elsewhere: a link must not lead out of the folder."""
    if not (_NAME.fullmatch(name) and _NAME.fullmatch(file) and file.endswith(SUFFIX)):
        return None
    path = (folder / name / file).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
