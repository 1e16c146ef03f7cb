"""Defects of the released SynthForge training code (docs/defects.md) that no other test rules out here."""

import ast
import csv
import pkgutil
import re
import runpy
import sys
from copy import deepcopy
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import setuptools
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import synthforge
from synthforge.cli import main
from synthforge.config import config_path, from_dict, load_config
from synthforge.conventions import ClassSchema
from synthforge.datasets import geometry
from synthforge.datasets.augment import AUGMENTATIONS
from synthforge.datasets.open import open_source
from synthforge.datasets.photometric import PhotometricConfig
from synthforge.datasets.photos import PhotoSource
from synthforge.datasets.sample import Sample, read_rgb
from synthforge.datasets.source import SourceInfo
from synthforge.datasets.views import ViewLoader, Views, ViewSampler
from synthforge.evaluation.summary import EvaluateConfig, ImageScore, figures
from synthforge.models import losses
from synthforge.models.label_nets import LabelConfig, LabelTuned
from synthforge.models.multitask import MultiTaskNet, Prediction
from synthforge.models.store import load_model
from synthforge.storage.run import run
from synthforge.training.label_finetune import LabelModule, LabelTrainConfig, build
from synthforge.training.multitask import MultiTaskModule, train
from synthforge.training.subset import choose
from tests.datasets import made_up
from tests.datasets.test_geometry import MAPS
from tests.datasets.test_layouts import MAKERS, TABLES
from tests.datasets.test_views import Faces
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.models.test_networks import SMALL
from tests.training.small import FIT, config
from tests.training.test_training import Spots

PACKAGE = Path(synthforge.__file__).parent
ROOT = PACKAGE.parent
LEARNING = ("datasets", "models", "training", "evaluation")
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path: Path) -> list[ast.AST]:
    """Every node of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def nodes(path: Path, *kinds: type[ast.AST]) -> list[ast.AST]:
    return [n for n in tree(path) if isinstance(n, kinds)]


def test_d1_every_module_can_be_imported():
    names = [m.name for m in pkgutil.walk_packages(synthforge.__path__, "synthforge.")]
    assert len(names) > 100
    for name in set(names) - {"synthforge.__main__"}:  # that one is the command itself
        import_module(name)


def declared() -> tuple[set[str], set[str]]:
    """Packages that setup.py always installs, and those of its extras."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **_: None)
        patch.chdir(ROOT)
        said = runpy.run_path(str(ROOT / "setup.py"))
    names = lambda listed: {re.match(r"[\w-]+", text)[0].lower() for text in listed}  # noqa: E731
    return names(said["REQUIRED"]), names(sum(said["EXTRAS"].values(), []))


@pytest.mark.parametrize("folder", LEARNING)
def test_d2_d6_only_declared_packages_are_imported(folder):
    always, extras = declared()
    providers = packages_distributions()
    for path in sorted((PACKAGE / folder).glob("*.py")):
        assert not [n for n in nodes(path, ast.Name) if n.id in ("import_module", "__import__")], path
        for node in nodes(path, ast.Import, ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in {n.split(".")[0] for n in names} - set(sys.stdlib_module_names) - {"synthforge"}:
                owners = {d.lower() for d in providers.get(name, [name])}
                unconditional = node.col_offset == 0 and folder != "training"  # that one is an extra
                assert owners & (always if unconditional else always | extras), f"{path.name} imports {name}"


def options(command: click.Command) -> set[str]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return own.union(*map(options, below)) | {"--help"}


def test_d7_the_options_of_the_documents_exist():
    context = click.Context(main)
    known = {name: options(main.get_command(context, name)) for name in main.list_commands(context)}
    option = re.compile(r"(?<![\w-])--[a-z](?:[a-z-]*[a-z])?(?![\w-])")
    every, seen = set().union(*known.values()), 0
    tools = [p for folder in ("benchmarks", "scripts") for p in (ROOT / folder).rglob("*") if p.is_file()]
    for path in tools:  # the documents speak of them too
        every |= set(option.findall(path.read_text(encoding="utf-8", errors="ignore")))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for line in path.read_text(encoding="utf-8").splitlines():
            for command, rest in re.findall(r"synthforge ([a-z-]+)( [^`#&]*)", line):
                assert command not in known or set(option.findall(rest)) <= known[command], line
            used = set(option.findall(line))
            assert used <= every, f"{path.name}: {line}"
            seen += len(used)
    assert seen > 50


def test_d8_no_path_of_a_machine_is_written_down():
    absolute = r"(^|[\s\"'])(/|~/|[A-Za-z]:[\\/])\w[\w.-]*[\\/]\w"
    for path in MODULES:
        texts = [n.value for n in nodes(path, ast.Constant) if isinstance(n.value, str)]
        assert not [t for t in texts if re.match(absolute, t)], path
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        assert not re.search(absolute, path.read_text(encoding="utf-8"), re.MULTILINE), path


def in_order(listing, backwards: bool):
    return lambda *args: iter(sorted(listing(*args), reverse=backwards))


@pytest.mark.parametrize("layout", MAKERS)
def test_d9_the_order_of_a_folder_and_other_files_in_it_do_not_matter(layout, tmp_path, monkeypatch):
    folder, found = MAKERS[layout](tmp_path), []
    for place in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        (place / "Thumbs.db").write_bytes(b"\0")
        (place / "notes.txt").write_text("not a label\n")
    for backwards in (False, True):
        with monkeypatch.context() as patch:
            for name in ("glob", "rglob", "iterdir"):
                patch.setattr(Path, name, in_order(getattr(Path, name), backwards))
            source = open_source(layout, [folder])
            found.append([source[i].name for i in range(len(source))])
    assert len(found[0]) >= 3 and found[0] == found[1]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_d10_pictures_of_any_mode_are_read_as_rgb(mode, tmp_path):
    picture = Image.fromarray(made_up.picture(3)).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    read = read_rgb(str(path))
    assert read.shape == (made_up.SIZE, made_up.SIZE, 3)
    np.testing.assert_allclose(read.astype(int), np.array(picture.convert("RGB")), atol=1)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(0, 100))
def test_d12_a_part_of_the_photographs_has_the_wanted_size_and_none_twice(wanted, seed):
    chosen = choose(Spots(), wanted, seed)
    assert len(chosen) == len(set(chosen)) == wanted and set(chosen) <= set(range(len(Spots())))


def test_d13_training_batches_are_shuffled_anew_in_each_pass():
    loader = ViewLoader(Views(Faces(9), 16, 4), ViewSampler([9], 0, 36, 0), 9)
    passes = [(batch["depth"].amin((1, 2)) - 0.5).round().int().tolist() for batch in loader]
    assert len(passes) == 4 and all(sorted(p) == list(range(9)) for p in passes)
    assert len({tuple(p) for p in [list(range(9)), *passes]}) == 5


class Labelled(PhotoSource):
    """A data set of which only the classes are known."""

    def __init__(self, schema: ClassSchema):
        self.info = SourceInfo("labelled", schema)
        super().__init__([])


@pytest.mark.parametrize(("table", "n"), list(zip(TABLES, (11, 19, 16, 19), strict=True)))
def test_d15_a_network_has_as_many_classes_as_its_table(table, n):
    net = build(MultiTaskNet(SMALL), Labelled(table), "lf", True).eval()
    out = net(torch.zeros(1, 3, 32, 32), ["segmentation"])
    assert out.segmentation.shape[1] == len(table) == n
    assert len({c.name for c in table}) == n  # D34: none is there twice


def test_d16_input_is_not_checked_by_assertions():
    for path in MODULES:
        assert not nodes(path, ast.Assert), path


class Oblong:
    """One photograph that is not square: a blob where all points lie, depth of a slanted wall."""

    info = SourceInfo("oblong", points=68, depth="metric", crop_source="box", crop_scale=1.0)
    dot, box = np.array([71.37, 48.81]), (31.7, 12.4, 108.3, 77.9)

    def __init__(self):
        y, x = np.mgrid[:90, :140] + 0.5
        blob = 200 * np.exp(-((x - self.dot[0]) ** 2 + (y - self.dot[1]) ** 2) / (2 * 2.5**2))
        rgb, depth = np.repeat(blob[..., None], 3, 2).round().astype(np.uint8), self.wall(x, y)
        points, target = np.tile(self.dot, (68, 1)), (x > y).astype(np.uint8)
        self.sample = Sample("a", rgb, self.box, points, target, depth.astype(np.float32))

    @staticmethod
    def wall(x, y):
        return 0.6 + 1e-3 * x + 2e-3 * y

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


def test_d16_the_crop_of_an_oblong_photograph_is_exact_and_leaves_it_as_it_was():
    source, plain = Oblong(), AUGMENTATIONS["none"]
    kept = deepcopy(vars(source.sample))
    (x0, y0, x1, y1), size = source.box, 96
    zoom = size / (x1 - x0)
    expected = (source.dot - [(x0 + x1) / 2, (y0 + y1) / 2]) * zoom + size / 2
    view = Views(source, size, 1, plain)[0]
    np.testing.assert_allclose(view["points"][30].numpy() * size, expected, atol=1e-4)
    turned = replace(AUGMENTATIONS["strong"], wide=0.0, photometric=PhotometricConfig(amount=0.0))
    for number, augment in enumerate([plain] + [turned] * 8):
        view = Views(source, size, 1, augment)[number, 0]
        light, centres = view["rgb"][0].double(), torch.arange(size) + 0.5
        found = torch.stack([(light.sum(0) * centres).sum(), (light.sum(1) * centres).sum()]) / light.sum()
        np.testing.assert_allclose(view["points"][30].numpy() * size, found, atol=0.1)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(source.sample, name), value, err_msg=name)


def test_d17_photographs_of_lapa_are_mirrored_in_training_and_keep_their_sides(tmp_path):
    folder, red = made_up.make_lapa(tmp_path, names=("a",)), np.zeros((128, 128, 3), np.uint8)
    red[:, :64, 2] = 255  # on the left; files are BGR
    made_up.write(folder / "train/images/a.jpg", red)
    augment = load_config(LabelTrainConfig, config_path("train", "label")).augment
    augment = replace(augment, photometric=PhotometricConfig(amount=0.0))
    views, mirrored = Views(open_source("lapa", [folder]), 96, 1, augment), 0
    for number in range(24):
        view = views[number, 0]
        for first, second in ((4, 5), (2, 3)):  # of LaPa's eyes and brows the first is on the viewer's left
            at = [np.argwhere(view["target"].numpy() == c)[:, 1].mean() for c in (first, second)]
            assert at[0] < at[1]
        assert view["points"][36, 0] < view["points"][45, 0]
        light = view["rgb"][0].float().mean(0)
        mirrored += bool(light[48:].mean() > light[:48].mean())
    assert 6 <= mirrored <= 18


@settings(deadline=None, max_examples=25)
@given(MAPS, st.integers(0, 100))
def test_d18_a_warped_class_is_the_one_that_was_there(matrix, seed):
    ids = np.random.default_rng(seed).choice([3, 5, 200], (100, 100)).astype(np.uint8)
    warped = geometry.warp_ids(ids, matrix, 64, 255)
    back, sure = geometry.invert(matrix), 0
    for row, column in np.ndindex(64, 64):
        x, y = back[:, :2] @ [column + 0.5, row + 0.5] + back[:, 2]
        if min(x % 1, 1 - x % 1, y % 1, 1 - y % 1) < 0.02:  # between two pixels either is right
            continue
        inside = 0 <= x < 100 and 0 <= y < 100
        assert warped[row, column] == (ids[int(y), int(x)] if inside else 255)
        sure += 1
    assert sure > 500 and set(np.unique(warped)) <= {3, 5, 200, 255}


def test_d19_depth_of_an_oblong_photograph_stays_metric_and_in_its_place():
    source, size = Oblong(), 96
    matrix = geometry.crop_matrix(source.box, size, 1.0)
    depth = Views(source, size)[0]["depth"].numpy()
    grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), -1).reshape(-1, 2)
    x, y = ((grid - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T).T.reshape(2, size, size)
    within = (y > 1) & (y < 89)
    # Finer than 8 bits over the range of this crop, which are 1 mm apart.
    np.testing.assert_allclose(depth[within], source.wall(x, y)[within], atol=6e-5)
    assert within.mean() > 0.8 and np.isinf(depth[(y < -0.5) | (y > 90.5)]).all()


def test_d20_consistency_is_a_mean_over_what_stays_in_frame_and_its_target_takes_no_gradient():
    torch.manual_seed(0)
    features = torch.randn(2, 5, 16, 16, requires_grad=True)
    answer = torch.randn(2, 5, 16, 16, requires_grad=True)
    shift = torch.eye(2, 3).repeat(2, 1, 1)
    shift[0, 0, 2], shift[1, 1, 2] = 4 * 2 / 16, 6 * 2 / 16  # four columns, six rows
    loss = losses.consistency_loss(answer, features, shift)
    total, cells = 0.0, 0
    for y, x in np.ndindex(16, 16):
        for image, (row, column) in enumerate([(y, x + 4), (y + 6, x)]):
            if row < 16 and column < 16:
                error = (answer[image, :, y, x] - features[image, :, row, column]).abs().mean()
                total, cells = total + error.item() / features[image].std().item(), cells + 1
    assert loss.item() == pytest.approx(total / cells, rel=1e-4)
    moves, target = torch.autograd.grad(loss, (answer, features), allow_unused=True)
    assert target is None and (moves[0, :, :, 12:] == 0).all() and (moves[0, :, :, :12] != 0).all()


@pytest.mark.parametrize("stage", [1, 2])
def test_d22_every_stack_is_supervised(stage):
    torch.manual_seed(0)
    module, points = MultiTaskModule(config()), torch.rand(2, 68, 2)
    if stage == 2:
        net = build(MultiTaskNet(replace(SMALL, keypoint_stacks=2)), Spots(), "finetune", True)
        module = LabelModule(net, LabelTrainConfig(), Spots())
        module.tasks = ("points",)
    batch = {"points": points, "point_weight": torch.ones(2, 68)}
    logits = [torch.randn(2, 68, 8, 8, requires_grad=True) for _ in range(2)]
    maps = [x.flatten(2).log_softmax(2).view_as(x) for x in logits]

    def heat(*stacks):
        prediction = Prediction(torch.zeros(2, 8, 8, 8), points, log_heatmaps=list(stacks))
        return module.losses(prediction, batch)["heatmap"]

    torch.testing.assert_close(heat(*maps), (heat(maps[0]) + heat(maps[1])) / 2)
    assert all(slope.abs().min() > 0 for slope in torch.autograd.grad(heat(*maps), logits))


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("kind", ["unet", "mlp"])
def test_d26_without_features_depth_goes_by_the_prediction_alone(kind, features):
    torch.manual_seed(0)
    label = LabelConfig(depth=True, net=kind, features=features, widths=(8, 8), hidden=8)
    net = LabelTuned(MultiTaskNet(SMALL), label).eval()
    for parameter in net.depth.parameters():
        torch.nn.init.normal_(parameter)
    depth, (one, other) = torch.rand(2, 16, 16), torch.randn(2, 2, 8, 8, 8)
    assert torch.equal(net.depth(depth, one), net.depth(depth, other)) == (not features)


@pytest.mark.parametrize("relative", [False, True])
def test_d29_label_training_takes_one_step_by_the_gradient_of_the_whole_batch(relative):
    class Source(Spots):
        info = replace(Spots.info, depth="relative" if relative else "metric")

    torch.manual_seed(0)
    batch = {
        "rgb": torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8),
        "points": torch.rand(6, 68, 2),
        "point_weight": (torch.rand(6, 68) < torch.tensor([0.9, 0.1, 0, 0.5, 1, 0.7])[:, None]).float(),
        "target": torch.randint(0, 2, (6, 16, 16), dtype=torch.uint8),
        "depth": torch.rand(6, 16, 16),
    }
    batch["target"][0], batch["target"][4, :9] = 255, 255
    batch["depth"][1], batch["depth"][2, 3:] = np.inf, np.inf
    start = build(MultiTaskNet(SMALL), Source(), "lf", True).state_dict()
    slopes = []
    for parts in (1, 3):
        how = from_dict(LabelTrainConfig, {"fit": FIT | {"batch": 6, "accumulate": parts}}, "t")
        module = LabelModule(build(MultiTaskNet(SMALL), Source(), "lf", True), how, Source()).eval()
        module.net.load_state_dict(start)
        module._trainer = SimpleNamespace(global_step=0)
        steps = []
        module.optimizers = lambda s=steps: SimpleNamespace(zero_grad=lambda: None, step=lambda: s.append(1))
        module.manual_backward, module.log_dict = torch.Tensor.backward, lambda *_, **__: None
        module.training_step(batch, 0)
        assert len(steps) == 1
        slopes.append({n: p.grad for n, p in module.net.named_parameters() if p.grad is not None})
    assert {n.split(".")[0] for n in slopes[0]} == {"maps", "segmentation", "depth"}
    torch.testing.assert_close(slopes[1], slopes[0], atol=2e-5, rtol=1e-4)


def test_d32_nothing_is_moved_to_a_fixed_device():
    for path in MODULES:
        calls = [n.func.attr for n in nodes(path, ast.Call) if isinstance(n.func, ast.Attribute)]
        assert "cuda" not in calls, path


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """One step each in 32 bits and in mixed precision, from the same weights."""
    root = tmp_path_factory.mktemp("runs")
    run(FakeSource(), FakeConfig(), root / "d", n=8, workers=0)
    for precision in ("32-true", "bf16-mixed"):
        train(config(1, precision=precision), [root / "d"], root / precision, progress_bar=False)
    return {p: root / p for p in ("32-true", "bf16-mixed")}


def logged(out: Path) -> dict[str, float]:
    """Every value of a run's log."""
    rows = list(csv.DictReader((out / "logs/metrics.csv").open()))
    return {name: float(value) for row in rows for name, value in row.items() if value}


def test_d32_steps_log_losses_and_nothing_that_must_be_counted(runs):
    assert {name.split("/")[0] for name in logged(runs["32-true"])} == {"loss", "check", "epoch", "step"}


def test_d33_mixed_precision_learns_about_the_same_in_32_bit_weights(runs):
    full, mixed = logged(runs["32-true"]), logged(runs["bf16-mixed"])
    for name in [n for n in full if n.startswith("loss/")]:
        assert mixed[name] == pytest.approx(full[name], rel=0.05), name
    assert any(mixed[name] != full[name] for name in full)
    weights = load_model(runs["bf16-mixed"]).net.parameters()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in weights)


def test_d34_a_class_that_is_nowhere_does_not_spoil_the_mean():
    info = SourceInfo("labelled", ClassSchema.of(("rest",), ("eye",), ("nose",), ("hat",)))
    matrices = [np.diag([5, 3, 0, 0]), np.array([[1, 1, 0, 0], [2, 4, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]])]
    scores = [ImageScore(str(i), matrix=m) for i, m in enumerate(matrices)]
    found = {(f.metric, f.part): f.value for f in figures(scores, info, EvaluateConfig(resamples=0))}
    each = {"rest": 2 * 6 / (7 + 8), "eye": 2 * 7 / (9 + 8), "nose": 1.0}
    assert {n: found["f1", n] for n in each} == pytest.approx({n: 100 * v for n, v in each.items()})
    assert np.isnan(found["f1", "hat"])
    assert found["f1_mean_foreground", ""] == pytest.approx(100 * (each["eye"] + each["nose"]) / 2)
    assert found["miou", ""] == pytest.approx(100 * np.mean([6 / 9, 7 / 10, 1.0]))
