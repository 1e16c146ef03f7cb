"""Package synthforge; see README.md for the two set-up commands."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "tb": ["tensorboard"],  # TensorBoard logs beside the CSV ones
    "pbr": ["mitsuba>=3.7"],  # the path-traced backend
    "ray": ["ray"],  # generation spread over many machines
    "onnx": ["onnx", "onnxruntime", "onnxscript"],  # export-model --onnx, and its parity check
    # outside truth for tests: embree ray caster, FLAME and GNM layers, property tests, runtime shape checks
    "test": ["pytest", "pytest-xdist", "hypothesis", "embreex", "smplx", "body-models", "beartype", "ruff"],
}
EXTRAS["test"] += EXTRAS["onnx"] + EXTRAS["pbr"] + EXTRAS["ray"]

setup(
    name="synthforge",
    version="0.1.0",
    description="Labelled synthetic faces, and face-analysis models trained on them",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=[*find_packages(include=["synthforge", "synthforge.*"]), "synthforge.configs", "next3d"],
    package_dir={"synthforge.configs": "configs", "next3d": "third_party/next3d"},
    package_data={"synthforge": ["assets/*", "report/*.html"], "synthforge.configs": ["*/*.yaml"]},
    install_requires=[
        "click",
        "deflate",  # inflates label planes twice as fast as zlib
        "h5py",
        "jaxtyping",
        "jinja2",
        "lightning>=2.4",
        "numba",
        "numpy",
        "opencv-python-headless>=4.9,<5",  # 5 has no face detector
        "pillow",  # palette PNGs of annotators, whose indices OpenCV would turn into colours
        "pyyaml",
        "safetensors",
        "scipy",
        "simplejpeg",  # decodes into memory that is there already
        "torch>=2.4",
        "torchmetrics",
        "tqdm",
        "trimesh>=4",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["synthforge=synthforge.cli:run"]},
)
