# Watchpost:        docker build -t watchpost .
#   with torch, for .pt weights:                   --build-arg TORCH=cpu
#   with torch for NVIDIA GPUs, several gigabytes: --build-arg TORCH=cuda
#   with Ray, for --cluster:                       --build-arg CLUSTER=yes
# Run:              docker run -p 8000:8000 -v watchpost:/data watchpost
FROM python:3.11-slim

WORKDIR /srv
COPY requirements.txt requirements-lean.txt requirements-cluster.txt ./
# The lists are complete, hence --no-deps. A container has no display, so OpenCV comes without
# windows, as in the lean list; it needs no libgl1 or libglib2.0-0. PyPI's torch brings gigabytes of
# CUDA; that of PyTorch's own CPU index (2.x.y+cpu) needs none.
ARG TORCH=none
RUN case "$TORCH" in \
      none) cp requirements-lean.txt wanted.txt ;; \
      cpu) grep -vE '^(nvidia|cuda|triton)' requirements.txt > wanted.txt ;; \
      cuda) cp requirements.txt wanted.txt ;; \
      *) echo "TORCH is none, cpu or cuda" && exit 1 ;; \
    esac \
    && sed -i 's/^opencv-python==/opencv-python-headless==/' wanted.txt \
    && if [ "$TORCH" = cpu ]; then index="--extra-index-url https://download.pytorch.org/whl/cpu"; fi \
    && pip install --no-cache-dir --no-compile --no-deps -r wanted.txt $index
# Only what Ray needs beyond that, with the versions of the list for clusters.
ARG CLUSTER=no
RUN case "$CLUSTER" in \
      no) ;; \
      yes) pip install --no-cache-dir --no-compile -c requirements-cluster.txt "ray[client]" ;; \
      *) echo "CLUSTER is yes or no" && exit 1 ;; \
    esac

COPY LICENSE run.py main.py ./
COPY static static
COPY app app
COPY anti_terror anti_terror
# Of the packages, only what is imported is compiled; later the server cannot write here.
RUN python -m compileall -q app anti_terror run.py main.py \
    && python -c "import app.main, app.cli, app.cameras, alembic.command"

# A number of its own, so that a volume belongs to the same user in every build.
RUN useradd --system --uid 10001 --home-dir /data watchpost && install -d -o watchpost /data
USER watchpost
ENV PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=3)"]
CMD ["python", "run.py", "--data-dir", "/data"]
