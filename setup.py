"""Package synthforge; see README.md for the two set-up commands."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIRED = [
    "click",
    "deflate",  # inflates label planes twice as fast as zlib
    "h5py",
    "jaxtyping",
    "jinja2",
    "numba",
    "numpy>=2",
    "opencv-python-headless>=4.9,<5",  # 5 has no face detector
    "pillow",  # palette PNGs of annotators, whose indices OpenCV would turn into colours
    "pyyaml",
    "safetensors",
    "scipy",
    "simplejpeg",  # decodes into memory that is there already
    "torch>=2.4",
    "tqdm",
    "trimesh>=4",
]
EXTRAS = {
    "train": ["lightning>=2.6"],  # train-multitask, label-finetune and study
    "tb": ["lightning>=2.6", "tensorboard"],  # training, with TensorBoard logs beside the CSV ones
    "pbr": ["mitsuba>=3.7", "drjit"],  # the path-traced backend
    "ray": ["ray"],  # generation spread over many machines
    "onnx": ["onnx", "onnxruntime", "onnxscript"],  # export-model --onnx, and its check against the network
}
# Independent truth for the tests: embree's ray caster, other packages' FLAME and GNM heads, property tests,
# runtime shape checks, static types (with a node of its own), notebooks.
TESTS = ["pytest", "pytest-xdist", "hypothesis", "beartype", "embreex", "smplx", "body-models"]
TESTS += ["nbclient", "ipykernel", "ruff", "pyright[nodejs]"]
EXTRAS["test"] = TESTS + [name for extra in ("train", "pbr", "ray", "onnx") for name in EXTRAS[extra]]

setup(
    name="synthforge",
    version="0.1.0",
    description="Labelled synthetic faces, and face-analysis models trained on them",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the synthforge authors",
    license_expression="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    keywords=["synthetic data", "face analysis", "landmarks", "segmentation", "depth", "rendering"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    python_requires=">=3.11",
    packages=[*find_packages(include=["synthforge", "synthforge.*"]), "synthforge.configs", "next3d"],
    package_dir={"synthforge.configs": "configs", "next3d": "third_party/next3d"},
    package_data={"": ["*"], "synthforge": ["assets/*"], "synthforge.configs": ["*/*.yaml"]},
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["synthforge=synthforge.cli:run"]},
)
