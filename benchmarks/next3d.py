"""Speed and memory of the neural backend by stage: `synthforge bench next3d` from a source checkout.

PYTHONPATH=.:third_party python -m benchmarks.next3d --help
"""

from synthforge.cli.bench import next3d

if __name__ == "__main__":
    next3d()
