"""Whether a backend or a head is one: `python -m synthforge.conformance NAME`, one line per check.

Needs nothing but synthforge and what the checked thing itself needs; ends with 1 where a check fails.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from synthforge.annotate import annotate
from synthforge.annotate.volume import surface_depth
from synthforge.attributes import Attribute
from synthforge.cameras.orbit import orbit_camera
from synthforge.config import config_path, from_dict, load_config
from synthforge.conventions import CLASS_FLIP, CLASS_ID, LANDMARK_FLIP, N_CLASSES
from synthforge.errors import ConfigError, SynthforgeError
from synthforge.generators.base import Setup
from synthforge.generators.registry import BACKENDS, backend_class
from synthforge.heads.base import HeadModel
from synthforge.heads.dense import face_classes
from synthforge.heads.registry import HEADS, load_head
from synthforge.pipeline.config import GenerateConfig, chosen
from synthforge.pipeline.source import Drawn, SceneSource
from synthforge.scene.sampling import posed_heads
from synthforge.scene.view import FACE_CENTRE
from synthforge.storage.run import run
from synthforge.storage.verify import verify
from synthforge.types import Camera, Frame, Render, SceneParams

SIDE = 96  # pixels of the images that are checked
INDICES = (0, 1, 2)
AWAY = 200.0  # m
TURN = 0.6  # rad
BESIDE = 3e-3  # m, between a volume and its mesh; more is no alignment
FACE = ("skin", "nose", "upper_lip", "lower_lip")
STILL = {name: 0.0 for name in ("blur", "noise", "aperture", "compression", "vignette")}
Check = tuple[str, Callable[[], str]]  # its name, and what finds the fault ("": none)


class Skipped(Exception):
    """A check that says nothing of this thing; the message says why."""


class BackendChecks:
    """Checks of a backend over one head; each returns its fault, or nothing."""

    def __init__(self, config: GenerateConfig, device: str = "auto"):
        self.config, self.device = config, device
        self.can = config.backend_class.capabilities

    @cached_property
    def source(self) -> SceneSource:
        return SceneSource(self.config, self.device)

    @cached_property
    def head(self) -> HeadModel:
        return self.source.head

    @cached_property
    def drawn(self) -> list[Drawn]:
        return [self.source.draw([index])[0] for index in INDICES]

    @cached_property
    def frames(self) -> list[Frame]:
        return [self.source.finish(drawn).frame for drawn in self.drawn]

    def checks(self) -> list[Check]:
        return [
            ("says what it can", self.capabilities),
            ("bad settings and devices end in one line", self.bad_input),
            ("images and geometry have the right shapes", self.shapes),
            ("the same parameters give the same image", self.deterministic),
            ("what is drawn together does not matter", self.independent),
            ("other people give other images", self.varied),
            ("depth is there where the foreground is, landmarks lie on it", self.consistent),
            ("labels lie where the image shows the head", self.silhouette),
            ("a mirrored scene gives mirrored labels", self.mirrored),
            ("a data set of it is sound", self.stored),
        ]

    def capabilities(self) -> str:
        if wrong := [n for n, a in self.can.attributes.items() if not isinstance(a, Attribute)]:
            return f"attribute {wrong[0]!r} is no synthforge.attributes.Attribute"
        made = self.frames[0].soft_masks
        missing = [name for name in self.can.soft_masks if name not in made]
        return f"soft mask {missing[0]!r} is none of {', '.join(made)}" if missing else ""

    def bad_input(self) -> str:
        backend = self.config.backend_class
        wrong = [{f.name: {"no": "such"}} for f in fields(backend.Config)] + [{"no_such_key": 1}]
        for settings in wrong:
            if fault := _told(lambda s=settings: from_dict(backend.Config, s, "settings")):
                return f"{settings}: {fault}"
        if self.can.batched:
            setup = Setup(self.head, device="no-such-device")
            if fault := _told(lambda: backend(self.config.settings, setup)):
                return f"device 'no-such-device': {fault}"
        return ""

    def shapes(self) -> str:
        n = len(self.head.vertices)
        for drawn in self.drawn:
            rgb, render = drawn.render.rgb, drawn.render
            if rgb.dtype != np.uint8 or rgb.shape != (SIDE, SIDE, 3):
                return f"the image is {rgb.dtype} {rgb.shape}, not uint8 {(SIDE, SIDE, 3)}"
            if render.vertices.shape != (n, 3) or not np.isfinite(render.vertices).all():
                return f"the vertices are {render.vertices.shape}, not {(n, 3)}, or not finite"
            mesh = render.mesh
            if mesh is None:
                continue
            if not np.array_equal(mesh.faces[: len(self.head.faces)], self.head.faces):
                return "the mesh does not begin with the head's faces"
            if not np.allclose(mesh.vertices[:n], render.vertices, atol=1e-6):
                return "the mesh does not begin with the head's vertices"
        return ""

    def deterministic(self) -> str:
        again = SceneSource(self.config, self.device)
        for source in (self.source, again):
            for index, first in zip(INDICES[:2], self.drawn, strict=False):
                if fault := _differ(source.draw([index])[0].render, first.render, 0, 0.0):
                    return f"sample {index} drawn again: {fault}"
        return ""

    def independent(self) -> str:
        params = [drawn.params for drawn in self.drawn]
        together = self.source.backend.draw(params, np.stack([drawn.vertices for drawn in self.drawn]))
        if len(together) != len(params):
            return f"{len(together)} images of {len(params)} samples"
        level, metres = (2, 1e-5) if self.can.batched else (0, 0.0)
        faults = [_differ(a, b.render, level, metres) for a, b in zip(together, self.drawn, strict=True)]
        return next(filter(None, faults), "")

    def varied(self) -> str:
        first, other = (drawn.render.rgb.astype(int) for drawn in self.drawn[:2])
        return "" if np.abs(first - other).max() > 8 else "samples 0 and 1 look the same"

    def consistent(self) -> str:
        for frame in self.frames:
            inside = frame.alpha == 255
            if (share := np.isfinite(frame.depth[inside]).mean()) < 0.99:
                return f"{1 - share:.0%} of the foreground has no depth"
            x, y = frame.landmarks_2d[frame.landmarks_visible == 2].astype(int).T
            if not len(x) or (share := (frame.alpha[y, x] > 0).mean()) < 0.95:
                return f"{1 - share:.0%} of the visible landmarks lie on the background"
        return ""

    def silhouette(self) -> str:
        """What changes in the image when the head goes away is what the labels call foreground."""
        if self.can.moves_head and any(drawn.render.volume for drawn in self.drawn):
            return next(filter(None, map(self._beside_volume, self.drawn)), "")
        if self.can.latent:
            raise Skipped("it gives no Render.volume, and what it draws without a head is not known")
        worst, draw = "", self.source.backend.draw
        values = _zeros(self.head)
        values["pose"][self.head.joint_names.index("neck"), 1] = TURN  # a mirrored mesh has another outline
        turned = replace(self.drawn[0].params, camera=_camera(0.0), **values)
        for params in [d.params for d in self.drawn] + [turned] * self.can.head_turn:
            still = STILL.keys() & params.attributes.keys()
            params = replace(params, attributes=params.attributes | {n: 0.0 for n in still})
            vertices, away = posed_heads(self.head, [params]), replace(params, camera=_away(params.camera))
            there, gone = (draw([p], vertices)[0] for p in (params, away))
            changed = np.abs(there.rgb.astype(int) - gone.rgb).max(2) > 8
            alpha = self.source.frame(params, vertices[0], there).alpha
            outside, inside = ~binary_dilation(alpha > 0, iterations=2), binary_erosion(alpha == 255)
            if changed[outside].mean() > 0.02:
                worst = f"{changed[outside].mean():.0%} of what the labels call background shows the head"
            elif changed[inside].mean() < 0.7:
                worst = f"{1 - changed[inside].mean():.0%} of what they call foreground shows none"
            elif (shift := _best_shift(changed, alpha > 127)) > 1:
                worst = f"they lie {shift} pixels beside it"
        return worst

    def _beside_volume(self, drawn: Drawn) -> str:
        """Mesh and volume agree on the face: the shift that would fit one to the other best is small."""
        render, camera = drawn.render, drawn.params.camera
        if render.volume is None:
            return "a sample has no Render.volume"
        mesh = self.source.frame(drawn.params, drawn.vertices, replace(render, volume=None))
        depth = surface_depth(render.volume, camera.size)
        seen = np.isin(mesh.segmentation_bare, [CLASS_ID[name] for name in FACE]) & np.isfinite(mesh.depth)
        both = seen & np.isfinite(depth)
        row, column = np.nonzero(both)
        rays = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], 1) @ np.linalg.inv(camera.intrinsics).T
        apart = (mesh.normals[both] * rays).sum(1) * (depth[both] - mesh.depth[both])
        near = np.abs(apart) < 0.02  # more is hair before the face
        if near.sum() < 0.5 * seen.sum():
            return f"{1 - near.sum() / seen.sum():.0%} of the face is not where its volume has a surface"
        shift = np.linalg.lstsq(mesh.normals[both][near], apart[near], rcond=None)[0]
        gap = float(np.linalg.norm(shift))
        return "" if gap < BESIDE else f"its volume shows the face {1e3 * gap:.1f} mm beside Render.vertices"

    def mirrored(self) -> str:
        """The neutral head seen from the left and from the right."""
        if self.can.latent:
            raise Skipped("networks do not draw mirrored images")
        left, right = (self._seen_from(azimuth) for azimuth in (0.4, -0.4))
        flipped = right.landmarks_2d[LANDMARK_FLIP] * [-1, 1] + [SIDE, 0]
        if (gap := np.abs(left.landmarks_2d - flipped).max()) > 0.04 * SIDE:
            return f"a landmark is {gap:.1f} pixels from its mirror image"
        share = (left.segmentation_bare == CLASS_FLIP[right.segmentation_bare[:, ::-1]]).mean()
        return "" if share > 0.93 else f"{1 - share:.0%} of the pixels have another class than mirrored"

    def _seen_from(self, azimuth: float) -> Frame:
        return self.source.render(replace(self.drawn[0].params, camera=_camera(azimuth), **_zeros(self.head)))

    def stored(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            run(self.source, self.config, Path(folder) / "x", 2, workers=0)
            return next(iter(verify(Path(folder) / "x")), "")


class HeadChecks:
    """Checks of a head; each returns its fault, or nothing."""

    def __init__(self, name: str):
        self.name = name

    @cached_property
    def head(self) -> HeadModel:
        return load_head(self.name).eval()

    def checks(self) -> list[Check]:
        return [
            ("loaded twice it is the same, under its own name", self.loaded),
            ("arrays have the right shapes and values", self.arrays),
            ("zero parameters give the template", self.template),
            ("it is a head in metres, its faces turned outwards", self.size),
            ("landmarks lie on the surface, from top to bottom", self.landmarks),
            ("left is the subject's left", self.sides),
            ("the neck turns the head to the left", self.turned),
            ("it is differentiable", self.differentiable),
            ("samples of a batch do not matter to each other", self.independent),
            ("the embedded renderer draws it, and its labels are made", self.drawn),
        ]

    def loaded(self) -> str:
        if self.head.name != self.name:
            return f"it calls itself {self.head.name!r}, but its entry point is {self.name!r}"
        return "" if load_head(self.name).sha256 == self.head.sha256 else "its arrays have changed"

    def drawn(self) -> str:
        camera, raster = _camera(TURN, 64), backend_class("raster")
        params, vertices = SceneParams(0, 0, camera=camera, **_zeros(self.head)), self._posed()
        (render,) = raster(raster.Config(), Setup(self.head)).draw([params], vertices[None])
        frame = annotate(render, params, self.head, vertices)
        return "" if frame.alpha.any() else "nothing of it is in the image"

    def arrays(self) -> str:
        h = self.head
        v, f, s, e, j = len(h.vertices), len(h.faces), h.n_shape, h.n_expression, h.n_joints
        wanted = {
            "vertices": (v, 3), "canonical": (v, 3), "faces": (f, 3), "face_uvs": (f, 3), "face_class": (f,),
            "face_part": (f,), "weights": (v, j), "joints": (j, 3), "shape_deltas": (s, v, 3),
            "expression_deltas": (e, v, 3), "joint_shape_deltas": (s, j, 3), "shape_cholesky": (s, s),
            "landmarks_face": (68,), "landmarks_barycentric": (68, 3), "eye_radius": (2,), "iris_radius": (2,)
        }  # fmt: skip
        for name, shape in wanted.items():
            values = np.asarray(getattr(h, name))
            if values.shape != shape:
                return f"{name} is {values.shape}, not {shape}"
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                return f"{name} is not finite"
        limits = {"faces": v, "face_uvs": len(h.uv), "landmarks_face": f, "contour_face": f}
        for name, limit in limits.items():
            if not 0 <= getattr(h, name).min() <= getattr(h, name).max() < limit:
                return f"{name} leaves [0, {limit})"
        for name in ("class_map", "face_class"):
            if ((classes := getattr(h, name)) >= N_CLASSES)[classes != 255].any():
                return f"{name} holds a class that there is not"
        return ""

    def template(self) -> str:
        gap = np.abs(self._posed() - np.asarray(self.head.vertices)).max()
        return "" if gap < 1e-5 else f"a vertex is {1e3 * gap:.2f} mm away"

    def size(self) -> str:
        corners = np.asarray(self.head.vertices, np.float64)[self.head.faces]
        volume = np.einsum("nc,nc->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        height = float(np.ptp(np.asarray(self.head.vertices)[:, 1]))
        if not 0.15 < height < 0.7:
            return f"it is {height:.2f} m high"
        return "" if volume > 0 else "its faces are turned inwards"

    def landmarks(self) -> str:
        weights = self.head.landmarks_barycentric
        if weights.min() < -1e-3 or np.abs(weights.sum(1) - 1).max() > 1e-3:
            return "barycentric coordinates are not in a triangle"
        points = self._landmarks()
        order = [float(points[i, 1].mean()) for i in ([19, 24], [37, 44], [30], [51], [57], [8])]
        if order != sorted(order, reverse=True):
            return "brows, eyes, nose, mouth and chin are not one below the other"
        return "" if points[30, 2] == points[:, 2].max() else "the tip of the nose is not foremost"

    def sides(self) -> str:
        points, joints = self._landmarks(), np.asarray(self.head.joints)
        middle = points[27:31, 0].mean()
        for i in (*range(8), *range(17, 22), *range(36, 42)):  # on the subject's right: -x
            if not points[i, 0] < middle < points[LANDMARK_FLIP[i], 0]:
                return f"landmarks {i} and {LANDMARK_FLIP[i]} are exchanged"
        left, right = (joints[self.head.joint_names.index(f"{side}_eye"), 0] for side in ("left", "right"))
        if not left > middle > right:
            return "the joints of the eyes are exchanged"
        corners = np.asarray(self.head.vertices)[self.head.faces].mean(1)
        classes = face_classes(self.head)
        for name in ("brow", "eye", "ear"):
            on = [corners[classes == CLASS_ID[f"{side}_{name}"], 0] for side in ("left", "right")]
            if all(map(len, on)) and not on[0].mean() > middle > on[1].mean():
                return f"the classes left_{name} and right_{name} are exchanged"
        return ""

    def turned(self) -> str:
        pose = torch.zeros(1, self.head.n_joints, 3)
        pose[0, self.head.joint_names.index("neck"), 1] = 0.3
        moved = self._landmarks(self._posed(pose=pose)) - self._landmarks()
        return "" if moved[30, 0] > 5e-3 else f"the nose moved {1e3 * moved[30, 0]:.1f} mm to the left"

    def differentiable(self) -> str:
        inputs = [torch.zeros(1, *shape, requires_grad=True) for shape in self._shapes()]
        (self.head(*inputs) ** 2).sum().backward()
        for name, value in zip(("shape", "expression", "pose"), inputs, strict=True):
            if value.numel() and (value.grad is None or not value.grad.isfinite().all()):
                return f"no gradient reaches {name}"
        return ""

    def independent(self) -> str:
        generator = torch.Generator().manual_seed(0)
        inputs = [0.1 * torch.randn(3, *shape, generator=generator) for shape in self._shapes()]
        together = self.head(*inputs).detach()
        alone = torch.cat([self.head(*(x[i : i + 1] for x in inputs)).detach() for i in range(3)])
        gap = float((together - alone).abs().max())
        return "" if gap < 1e-5 else f"a vertex is {1e3 * gap:.2f} mm away"

    def _shapes(self) -> list[tuple[int, ...]]:
        return [(self.head.n_shape,), (self.head.n_expression,), (self.head.n_joints, 3)]

    def _posed(self, pose: torch.Tensor | None = None) -> np.ndarray:
        inputs = [torch.zeros(1, *shape) for shape in self._shapes()]
        with torch.no_grad():
            return self.head(*inputs[:2], inputs[2] if pose is None else pose)[0].numpy()

    def _landmarks(self, vertices: np.ndarray | None = None) -> np.ndarray:
        return self.head.landmarks(np.asarray(self.head.vertices) if vertices is None else vertices)


def _told(act: Callable[[], object]) -> str:
    """Why something wrong did not end in one line."""
    try:
        act()
    except SynthforgeError as error:
        return "its message has several lines" if "\n" in str(error) else ""
    except Exception as error:
        return f"ends with {type(error).__name__}, not with a SynthforgeError"
    return "is taken without a word"


def _differ(a: Render, b: Render, level: int, metres: float) -> str:
    rgb = int(np.abs(a.rgb.astype(int) - b.rgb).max())
    if rgb > level:
        return f"pixels differ by up to {rgb} of 255"
    gap = float(np.abs(a.vertices - b.vertices).max())
    return f"vertices differ by up to {1e3 * gap:.3f} mm" if gap > metres else ""


def _best_shift(seen: np.ndarray, labelled: np.ndarray, reach: int = 4) -> int:
    """By how many pixels labels have to be moved to fit best what is seen."""
    shifts = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    fit = [float((np.roll(labelled, shift, (0, 1)) == seen).mean()) for shift in shifts]
    least = max(fit) - 0.002  # of those as good as the best, the smallest
    return min(max(map(abs, shift)) for shift, value in zip(shifts, fit, strict=True) if value >= least)


def _camera(azimuth: float, side: int = SIDE) -> Camera:
    return orbit_camera(azimuth, 0.0, 0.0, 1.0, 0.35, FACE_CENTRE, (side, side))


def _away(camera: Camera) -> Camera:
    """The same view from a place without a head."""
    cam2world = camera.cam2world.copy()
    cam2world[:3, 3] -= AWAY * cam2world[:3, 1]
    return replace(camera, cam2world=cam2world)


def _zeros(head: HeadModel) -> dict[str, np.ndarray]:
    """Parameters of the neutral head."""
    shapes = {"shape": head.n_shape, "expression": head.n_expression, "pose": (head.n_joints, 3)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def results(checks: Sequence[Check]) -> Iterator[tuple[str, str, str]]:
    """(ok, FAIL or skip; name of the check; what is wrong or why it is skipped) of each check."""
    told = set()
    for name, check in checks:
        try:
            fault = check()
            yield ("FAIL" if fault else "ok", name, fault)
        except Skipped as reason:
            yield "skip", name, str(reason)
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            yield ("skip", name, "for the same reason") if why in told else ("FAIL", name, why)
            told.add(why)


def checks_of(name: str, overrides: Sequence[str] = (), device: str = "auto") -> list[Check]:
    """Checks of the backends and heads of a name.

    Args:
        overrides: `KEY=VALUE` of the configuration that a backend is checked under.
    Raises:
        ConfigError: nothing has that name.
    """
    checks: list[Check] = []
    if name in BACKENDS.points():
        options = dict(override.split("=", 1) for override in overrides)
        config, settings = chosen(None, {"backend": name, "resolution": SIDE} | options)
        path = config_path("generate", config)
        checks += BackendChecks(load_config(GenerateConfig, path, settings), device).checks()
    if name in HEADS.points():
        checks += HeadChecks(name).checks()
    if not checks:
        fix = f"use one of: {', '.join([*BACKENDS.points(), *HEADS.points()])}"
        raise ConfigError(f"there is no backend or head {name!r}", where="conformance", fix=fix)
    return checks


@click.command()
@click.argument("name")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Of a backend's configuration.")
@click.option("--device", default="auto", show_default=True, help="Of backends that draw in batches.")
def main(name: str, overrides: tuple[str, ...], device: str) -> None:
    """Check the backend or head NAME: one line per check, and exit code 1 where one fails."""
    failed = skipped = 0
    try:
        for state, check, why in results(checks_of(name, overrides, device)):
            failed, skipped = failed + (state == "FAIL"), skipped + (state == "skip")
            click.echo(f"{state:4}  {check}" + (f": {why}" if why else ""))
    except SynthforgeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    good = f"{name} conforms" + f" ({skipped} skipped)" * bool(skipped)
    click.echo(f"{name}: {failed} checks failed" if failed else good)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
