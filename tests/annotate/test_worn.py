"""Labels of things that are worn, and of the head under them."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthforge.annotate import annotate
from synthforge.cameras.project import from_pixels, project
from synthforge.conventions import CLASS_ID
from synthforge.errors import AssetError
from synthforge.generators.geometry.accessory import Accessory, with_accessories
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.heads import load_head
from tests.annotate.scenes import label, pixel_grid, posed, view


def plate(class_name: str, y: tuple[float, float], z: float) -> Accessory:
    """A frontal rectangle 12 cm wide."""
    corners = np.array([[-0.06, y[0], z], [0.06, y[0], z], [0.06, y[1], z], [-0.06, y[1], z]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Accessory(corners, faces, class_name, np.ones((4, 3)), "solid")


@pytest.mark.parametrize("name", ["hair", "eyeglasses", "headwear", "facewear"])
def test_worn_things_hide_landmarks_and_leave_the_bare_face_alone(tiny, name):
    params, vertices = posed(tiny, view(256))
    bare = label(tiny, params, vertices)
    band = (0.0, 0.03)  # over the eyes
    mesh = with_accessories(tiny.mesh(vertices), [plate(name, band, 0.12)])
    worn = label(tiny, params, vertices, mesh)

    corners = project(np.array([[-0.06, band[0], 0.12], [0.06, band[1], 0.12]]), params.camera)
    (x0, y1), (x1, y0) = corners[:, :2]
    x, y = np.moveaxis(pixel_grid(params.camera), -1, 0)
    inside = (x > x0 + 1) & (x < x1 - 1) & (y > y0 + 1) & (y < y1 - 1)
    around = (x > x0 - 1) & (x < x1 + 1) & (y > y0 - 1) & (y < y1 + 1)
    assert (worn.segmentation[inside] == CLASS_ID[name]).all()
    np.testing.assert_allclose(worn.depth[inside], 1.1 + 0.02 - 0.12, rtol=1e-6)
    np.testing.assert_allclose(worn.normals[inside] - [0, 0, -1.0], 0, atol=1e-6)
    np.testing.assert_array_equal(worn.segmentation[~around], bare.segmentation[~around])
    np.testing.assert_array_equal(worn.segmentation_bare, bare.segmentation)
    if name in worn.soft_masks:
        assert (worn.soft_masks[name][inside] == 255).all()
        area = (x1 - x0) * (y1 - y0)
        np.testing.assert_allclose(worn.soft_masks[name].sum() / 255, area, rtol=0.03)
    assert not any(mask.any() for key, mask in worn.soft_masks.items() if key != name)

    px, py = worn.landmarks_2d.T
    behind = (px > x0 + 2) & (px < x1 - 2) & (py > y0 + 2) & (py < y1 - 2)
    clear = (px < x0 - 2) | (px > x1 + 2) | (py < y0 - 2) | (py > y1 + 2)
    assert behind.sum() >= 8 and (worn.landmarks_visible[behind] == 1).all()
    np.testing.assert_array_equal(worn.landmarks_visible[clear], bare.landmarks_visible[clear])


def test_back_of_a_sheet_has_the_normal_of_the_side_that_is_seen(tiny):
    params, vertices = posed(tiny, view(128))
    sheet = plate("hair", (0.0, 0.02), 0.12)
    sheet = replace(sheet, faces=sheet.faces[:, ::-1])
    frame = label(tiny, params, vertices, with_accessories(tiny.mesh(vertices), [sheet]))
    np.testing.assert_allclose(frame.normals[frame.segmentation == CLASS_ID["hair"]][:, 2], -1, atol=1e-6)


EVERYTHING = [
    ("anthro", 0.3, {
        "headwear": "cap", "eyeglasses": "sunglasses", "facewear": "surgical_mask", "earrings": "hoop",
        "occluder": "hand", "hair_style": "wavy",
    }),
    ("ict", -0.5, {
        "headphones": "over_ear", "eyeglasses": "clear", "facewear": "cloth_mask", "earrings": "drop",
        "occluder": "microphone", "hair_style": "curly", "facial_hair": "full", "sex": "male",
    }),
]  # fmt: skip


@pytest.mark.parametrize("name, azimuth, attributes", EVERYTHING)
def test_a_ray_caster_sees_the_same_with_everything_worn(name, azimuth, attributes):
    """Surface, class and depth at pixel centres; edges are where rays a hundredth of a pixel apart part."""
    pytest.importorskip("embreex")
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    try:
        head = load_head(name)
    except AssetError as error:
        pytest.skip(str(error))
    params, vertices = posed(head, view(192, azimuth, 0.1), {"neck": (0.05, 0.1, -0.05)}, jawOpen=0.2)
    params = replace(params, attributes=attributes)
    render = RasterGenerator(supersample=1).render(head, params, vertices)
    frame, mesh = annotate(render, params, head, vertices, supersample=1), render.mesh
    caster = RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
    rotation, centre = params.camera.cam2world[:3, :3], params.camera.cam2world[:3, 3].astype(float)
    corners = mesh.vertices[mesh.faces].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    def cast(shift: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Triangle (-1: none) and depth under each pixel's centre, `shift` pixels beside it."""
        pixels = (pixel_grid(params.camera) + shift).reshape(-1, 2)
        ray = from_pixels(pixels, np.ones(len(pixels)), params.camera) @ rotation.T
        hit = caster.intersects_first(np.tile(centre, (len(ray), 1)), ray)
        slope = (normals[hit] * ray).sum(1)
        depth = (normals[hit] * (corners[hit, 0] - centre)).sum(1) / np.where(slope == 0, np.nan, slope)
        return hit, np.where(hit >= 0, depth, np.inf)

    hit, depth = cast((0, 0))
    around = [cast(shift)[1] for shift in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01))]
    with np.errstate(invalid="ignore"):
        inside = np.all([(a == depth) | (np.abs(a - depth) < 0.001) for a in around], 0)
        same = (frame.depth.ravel() == depth) | (np.abs(frame.depth.ravel() - depth) < 0.0002)
    assert inside.mean() > 0.9 and same[inside].mean() > 0.999
    want = np.where(hit >= 0, mesh.face_class[hit], CLASS_ID["background"])
    mapped = want == 255  # skin, whose class its map tells
    told = frame.segmentation.ravel()
    assert (told == want)[inside & ~mapped].mean() > 0.999
    seen = [CLASS_ID[c] for c in ("clothing", "hair", "facewear", "occluder", "headwear")]
    assert not np.isin(told[inside & mapped & same], seen).any()
    assert set(seen) <= set(np.unique(told)) and not np.isin(frame.segmentation_bare, seen).any()
