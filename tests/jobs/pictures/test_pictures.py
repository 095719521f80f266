"""Each kind of picture: that it shows what was computed, can be read, and is the same for the same data."""

import struct
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import imread
from sklearn.metrics import confusion_matrix

from jobs.pictures.boundaries import boundaries
from jobs.pictures.calibration import BINS, calibration
from jobs.pictures.confusion import confusion
from jobs.pictures.drawing import DPI, WIDTH, signed
from jobs.pictures.importance import importances_of
from jobs.pictures.learning_curve import curves_of
from jobs.pictures.score import courses_of, windows_of
from jobs.pictures.study import TrainedPredictor
from jobs.pictures.write import KINDS, write_picture
from jobs.plot_command import Kind
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame
from quicksilver.learning.results import MAJORITY, MODEL
from quicksilver.learning.scores import accuracy, log_loss, profit_bps
from quicksilver.learning.zoo import NINE
from tests.quicksilver.learning.test_validation import frame

CONFIG = PredictorConfig("logistic", granularity="1m", datasetinputs=3, fee_bps=3.0)
CURVES = (accuracy, log_loss)


def data(config: PredictorConfig = CONFIG, n: int = 2_000) -> TrainingFrame:
    """A market that takes back most of each move, and so can be predicted from the last."""
    return frame(1, reverts=0.8, n=n, config=config)


@cache
def study(again: bool = False) -> TrainedPredictor:
    return TrainedPredictor("near", CONFIG, data())


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def labels(ax: Axes) -> list[str]:
    return [str(label) for label in ax.get_legend_handles_labels()[1]]


def test_the_command_offers_every_kind() -> None:
    assert tuple(one.value for one in Kind) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_a_png_and_the_same_again(kind: str, tmp_path: Path) -> None:
    path = write_picture(tmp_path, "near", study(), kind)
    assert path == tmp_path / "near" / f"{kind}.png"
    png = path.read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert width == WIDTH * DPI
    assert 400 < height < 1_200
    assert b"Software" not in png
    assert b"tIME" not in png
    pixels = imread(path)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 100
    assert (pixels[:, :5, :3] == 1.0).all(), "nothing is cut off at the left"
    assert (pixels[:, -5:, :3] == 1.0).all(), "nor at the right"
    again = write_picture(tmp_path / "again", "near", study(again=True), kind)
    assert again.read_bytes() == png
    assert sorted(one.name for one in path.parent.iterdir()) == [f"{kind}.png"]


def test_threads_draw_the_same_at_once(tmp_path: Path) -> None:
    study().validation  # noqa: B018 (computed once)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda n: write_picture(tmp_path / str(n), "near", study(), "confusion"), range(8)))
    assert len({path.read_bytes() for path in paths}) == 1


def test_boundaries_show_what_the_model_says_and_what_came() -> None:
    figure = boundaries([study()], "A title")
    panel, *bars = figure.axes
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("last move of 1m, bps", "the move before of 1m, bps")
    assert [bar.get_xlabel() for bar in bars] == [
        f"confidence, where it says {name}" for name in ("down", "flat", "up")
    ]
    held = study().held[-1]
    classes = [one.get_array() for one in panel.collections if isinstance(one, QuadMesh)]
    shown = np.ma.stack(classes, axis=-1).reshape(120, 120, 3)
    masks = np.asarray(shown.mask)
    assert (np.ma.count(shown, axis=-1) == 1).all(), "one class has each place"
    edges = np.percentile(held.rows.inputs[:, :2], [1.0, 99.0], axis=0)
    rest = np.median(held.rows.inputs, axis=0)
    for row, column in ((0, 0), (119, 0), (60, 119), (30, 70)):
        inputs = rest.copy()
        inputs[:2] = edges[0] + (edges[1] - edges[0]) * np.array([column, row]) / 119
        said = held.says(inputs[None])[0]
        assert shown[row, column].compressed().tolist() == pytest.approx([said.max()])
        assert not masks[row, column, said.argmax()]
    assert np.ma.count(shown[:, :20, 2]) > 2_000, "after a fall it says up"
    points = [one for one in panel.collections if isinstance(one, PathCollection)]
    counts = [len(np.asarray(one.get_offsets())) for one in points]
    assert 150 < sum(counts) <= held.rows.n
    assert min(counts) > 20
    dotted = sorted(float(np.asarray(line.get_xdata())[0]) for line in panel.lines[::2])
    assert dotted == [-6.0, 6.0], "the fees of going in and out"
    assert f"later than the {held.n_train:,} that it learned from" in texts(figure).replace("\n", " ")
    assert held.rows.ts_ns[0] > study().frame.ts_ns[held.n_train - 1]


def test_all_nine_fit_on_one_sheet() -> None:
    studies = []
    for name in NINE:
        config = PredictorConfig(name, datasetinputs=2, fee_bps=3.0)
        studies.append(TrainedPredictor(name, config, data(config, 500)))
    figure = boundaries(studies, "Nine")
    titles = [ax.get_title(loc="left") for ax in figure.axes[:9]]
    assert [title.split("\n")[0] for title in titles] == list(NINE)
    assert titles[1].split("\n")[1] == studies[1].brief
    ranges = {one.get_clim() for ax in figure.axes[:9] for one in ax.collections if isinstance(one, QuadMesh)}
    assert len(ranges) == 1, "a shade means the same in all panels"
    assert len(figure.axes) == 12


def test_the_headline_is_the_validation() -> None:
    found, said = study().validation, study().headline
    accuracies = [found.scores[who]["accuracy"].value for who in (MODEL, MAJORITY)]
    assert f"{found.n:,} decisions that it had not seen" in said
    assert f"accuracy {accuracies[0]:.3f} against {accuracies[1]:.3f} of always the majority class" in said
    profit = found.scores[MODEL]["profit_bps"]
    assert f"profit {profit.value:+.2f} bps" in said.replace("−", "-")


def test_confusion_counts_all_decisions() -> None:
    judged = study().walked.judged[MODEL]
    expected = confusion_matrix(judged.outcomes, judged.directions, labels=[-1, 0, 1])
    left, right = (
        np.array([text.get_text().split("\n") for text in ax.texts]).reshape(3, 3, 2)
        for ax in confusion(study()).axes[:2]
    )
    assert [[int(cell[0].replace(",", "")) for cell in row] for row in left] == expected.tolist()
    assert left[0, 0, 1] == f"{expected[0, 0] / expected[0].sum():.1%}"
    assert right[0, 0, 1] == f"{expected[0, 0] / expected[:, 0].sum():.1%}"


def test_a_class_that_is_never_said_has_no_share() -> None:
    config = msgspec.structs.replace(CONFIG, fee_bps=6.0)
    found = TrainedPredictor("quiet", config, frame(2, n=1_000, config=config))
    right = np.array([text.get_text() for text in confusion(found).axes[1].texts]).reshape(3, 3)
    assert [cell.split("\n")[1] for cell in right[:, 0]] == ["–"] * 3


def test_calibration_has_a_curve_and_a_count_of_each_class() -> None:
    figure = calibration(study())
    judged = study().walked.judged[MODEL]
    for place, name in enumerate(("down", "flat", "up")):
        ax, below = figure.axes[place], figure.axes[3 + place]
        n = int((judged.outcomes == place - 1).sum())
        assert f"{name}: {n:,} of {len(judged.outcomes):,}" in labels(ax)
        curve = np.asarray(ax.lines[1].get_xydata())
        said = judged.probabilities[:, place]
        order = np.argsort(said)[: len(said) // BINS]
        assert len(curve) == BINS
        assert curve[0] == pytest.approx([said[order].mean(), (judged.outcomes[order] == place - 1).mean()], abs=0.01)
        low, high = below.get_xlim()
        counted = sum(round(bar.get_height()) for bar in below.patches)  # type: ignore[attr-defined]
        assert counted == int(((said >= low) & (said <= high)).sum()) > 0.9 * len(said)


def test_the_input_that_matters_is_the_most_important() -> None:
    found = importances_of(study())
    last, *others = found.worse.mean(axis=(1, 2)).tolist()
    assert found.names == ("move_1_bps", "move_2_bps", "move_3_bps")
    assert last > 0.1 > 10 * max(map(abs, others))
    assert found.worse.shape == (3, 3, 8)
    assert np.array_equal(importances_of(study()).worse, found.worse)


def test_a_learning_curve_rises_where_there_is_something_to_learn() -> None:
    found = curves_of(data(), CONFIG)
    assert found.sizes[0] == 200
    assert found.sizes == sorted(set(found.sizes))
    assert found.later.shape == found.own.shape == found.majority.shape == (2, len(found.sizes), 3)
    accuracies, losses = found.later.mean(axis=2)
    assert accuracies[-1] > found.majority[0, -1].mean() + 0.1
    assert losses[-1] <= losses[0]
    nothing = curves_of(frame(2, n=2_000, config=CONFIG), CONFIG)
    assert abs(nothing.later[0, -1].mean() - nothing.majority[0, -1].mean()) < 0.05


def test_a_learning_curve_of_who_goes_on_learning_is_of_one_that_does_so_as_in_its_walk() -> None:
    config = msgspec.structs.replace(CONFIG, type="online-logistic")
    found, walked = curves_of(data(config), config), TrainedPredictor("near", config, data(config)).walked.judged[MODEL]
    part = walked.fold == np.unique(walked.fold)[-3]  # of the last three the one whose past is learned from whole
    expected = [float(measure(walked.parts()[part].mean(axis=0))) for measure in CURVES]
    assert found.later[:, -1, 0].tolist() == pytest.approx(expected)


def test_where_a_model_does_not_go_on_learning_it_is_said() -> None:
    config = msgspec.structs.replace(CONFIG, type="online-logistic")
    said = " It goes on learning live; here it is asked as it was before."
    assert (TrainedPredictor("near", config, data(config)).frozen, study().frozen) == (said, "")
    assert said in texts(boundaries([TrainedPredictor("near", config, data(config))], "")).replace("\n", " ")


def test_the_headline_is_of_a_later_period_as_the_report_is() -> None:
    better, profit = study().validation.better_by["accuracy"], study().validation.scores[MODEL]["profit_bps"]
    assert f"in a later period {signed(better.low, 3)} to {signed(better.high, 3)}, 95 %" in study().headline
    assert f"(in a later period {signed(profit.low, 2)} to {signed(profit.high, 2)})" in study().headline


def test_windows_hold_every_decision_once_and_lie_within_a_part() -> None:
    judged, ts_ns = study().walked.judged[MODEL], study().walked.ts_ns
    windows = windows_of(judged.fold, 3)
    assert [row for one in windows for row in range(one.start, one.stop)] == list(range(len(ts_ns)))
    assert all(len(set(judged.fold[one].tolist())) == 1 for one in windows)
    parts = judged.parts()
    for measure, found in zip(
        (accuracy, profit_bps), courses_of(ts_ns, parts, windows, [accuracy, profit_bps], 3, 1), strict=True
    ):
        assert found.value == pytest.approx([float(measure(parts[one].mean(axis=0))) for one in windows])
        assert (found.low <= found.value).all()
        assert (found.value <= found.high).all()
        assert (np.diff(found.at_ns) > 0).all()


@pytest.mark.parametrize(
    ("kind", "change", "n", "said"),
    [
        ("boundaries", {"datasetinputs": 1}, 1_000, "near has one input: boundaries need two"),
        ("learning-curve", {}, 450, "too few for a learning curve: 400 are needed before the last"),
        ("score", {}, 210, "too few to predict any"),
        ("importance", {}, 210, "too few to predict any"),
        ("confusion", {"fee_bps": 500.0}, 1_000, "all .* outcomes are flat"),
        ("confusion", {"type": "forest"}, 1_000, "there is no predictor type 'forest'"),
    ],
)
def test_what_cannot_be_drawn_is_said(kind: str, change: dict[str, Any], n: int, said: str, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, **change)
    with pytest.raises(InputError, match=said):
        write_picture(tmp_path, "near", TrainedPredictor("near", config, data(config, n)), kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["boundaries", "calibration", "learning-curve", "confusion", "importance", "score"])
def test_a_predicted_move_is_drawn_too(kind: str, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, type="linear", target="return")
    path = write_picture(tmp_path, "near", TrainedPredictor("near", config, data(config, 1_000)), kind)
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", ".hidden", "a b", "a\\b"])
def test_names_that_can_be_no_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can be no folder's name"):
        write_picture(tmp_path / "in", name, study(), "confusion")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "near").write_text("a file")
    with pytest.raises(InputError, match=r"near/confusion\.png: cannot be written: "):
        write_picture(tmp_path, "near", study(), "confusion")
