"""What the wheel consists of; all else is in ``pyproject.toml``, which cannot say this."""

from setuptools import find_namespace_packages, setup

PACKAGES = find_namespace_packages(
    include=["app", "app.*", "anti_terror", "anti_terror.*"], exclude=["*.__pycache__"]
)

# The page stands beside ``app`` in a checkout, and inside it once installed.
setup(packages=[*PACKAGES, "app.static"], package_dir={"app.static": "static"})
