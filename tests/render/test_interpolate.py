"""Interpolated attributes, normals and classes against closed forms."""

import numpy as np
import trimesh

from synthforge.cameras.project import from_pixels, to_camera
from synthforge.conventions import CLASS_ID
from synthforge.render.interpolate import interpolate, sample_classes, vertex_normals
from synthforge.render.rasterize import rasterize
from tests.helpers.tiny_head import RADII, REGIONS, tiny_head
from tests.render.soups import blob, projected, view


def test_interpolating_the_vertices_gives_the_points_on_the_rays():
    mesh, camera = blob(), view(90, 110)
    cam = to_camera(np.asarray(mesh.vertices), camera)
    fragments = rasterize(projected(mesh.vertices, camera), np.asarray(mesh.faces), 90, 110)
    point = interpolate(cam, np.asarray(mesh.faces), fragments)
    hit = fragments.face_index >= 0
    y, x = np.mgrid[0:90, 0:110] + 0.5
    want = from_pixels(np.stack([x, y], -1)[hit], fragments.depth[hit].astype(float), camera)
    np.testing.assert_allclose(point[hit], want, atol=1e-6)
    assert not point[~hit].any()


def test_vertex_normals_are_area_weighted_unit_and_outward():
    mesh = blob()
    normals = vertex_normals(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    weighted = np.zeros((len(mesh.vertices), 3))
    for corner in range(3):
        np.add.at(weighted, mesh.faces[:, corner], mesh.face_normals * mesh.area_faces[:, None])
    want = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
    np.testing.assert_allclose(normals, want, atol=1e-5)

    sphere = trimesh.creation.icosphere(4)
    normals = vertex_normals(np.asarray(sphere.vertices), np.asarray(sphere.faces))
    assert (np.sum(normals * sphere.vertices, 1) > 0.9999).all()
    unused = vertex_normals(np.eye(4, 3), np.array([[0, 1, 2]]))
    assert not unused[3].any()


def test_classes_are_read_from_the_map_at_the_surface_point():
    head, camera = tiny_head(), view(220, 200, azimuth=0.3)
    mesh = head.mesh(head.vertices.numpy())
    fragments = rasterize(projected(mesh.vertices, camera), mesh.faces, 220, 200)
    classes = sample_classes(mesh, fragments)
    assert set(np.unique(classes)) >= {CLASS_ID[n] for n in ("background", "left_eye", "nose", "left_ear")}
    assert (classes[fragments.face_index < 0] == 0).all()
    for eye, name in ((1, "left_eye"), (2, "right_eye")):
        part = (mesh.face_part[fragments.face_index] == eye) & (fragments.face_index >= 0)
        assert part.any() and (classes[part] == CLASS_ID[name]).all()

    on_skin = (fragments.face_index >= 0) & (mesh.face_part[fragments.face_index] == 0)
    x, y, z = interpolate(mesh.vertices, mesh.faces, fragments)[on_skin].T / RADII[:, None]
    lon, lat = np.rad2deg(np.arctan2(x, z)), np.rad2deg(np.arctan2(y, np.hypot(x, z)))
    found = classes[on_skin]
    want, near_border = np.zeros(len(lon), int), np.zeros(len(lon), bool)
    for name, left, right, low, high in REGIONS:
        inside = np.minimum.reduce([lon - left, right - lon, lat - low, high - lat])  # degrees
        want[inside > 0] = CLASS_ID[name]
        near_border |= np.abs(inside) < 1
    assert (~near_border).sum() > 5000
    np.testing.assert_array_equal(found[~near_border], want[~near_border])
