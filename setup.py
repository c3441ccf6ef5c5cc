"""The packages of the wheel; all else is in ``pyproject.toml``, which cannot express this."""

from setuptools import find_namespace_packages, setup

CODE = find_namespace_packages(
    include=["app", "app.*", "anti_terror", "anti_terror.*"], exclude=["*.__pycache__"]
)
# The viewer page is beside ``app`` in a checkout, and inside it in the wheel.
PAGE = ["app.static", *(f"app.static.{name}" for name in find_namespace_packages("static"))]

setup(packages=[*CODE, *PAGE], package_dir={"app.static": "static"})
