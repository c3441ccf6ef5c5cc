# Watchpost:        docker build -t watchpost .
#   on NVIDIA GPUs: docker build -t watchpost --build-arg TORCH=cuda .
#   without torch (a third of the size; enough for all but .pt weights): --build-arg TORCH=none
# Run:              docker run -p 8000:8000 -v watchpost:/data watchpost
FROM python:3.11-slim

# OpenCV's wheel needs these two.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv
COPY requirements.txt requirements-lean.txt ./
# PyPI's torch brings gigabytes of CUDA; that of PyTorch's own CPU index (2.x.y+cpu) needs none.
ARG TORCH=cpu
RUN case "$TORCH" in \
      cpu) grep -vE '^(nvidia|cuda|triton)' requirements.txt > wanted.txt \
           && pip install --no-cache-dir -r wanted.txt \
                --extra-index-url https://download.pytorch.org/whl/cpu ;; \
      cuda) pip install --no-cache-dir -r requirements.txt ;; \
      none) pip install --no-cache-dir -r requirements-lean.txt ;; \
      *) echo "TORCH is cpu, cuda or none" && exit 1 ;; \
    esac

COPY LICENSE run.py main.py ./
COPY static static
COPY app app
COPY anti_terror anti_terror
RUN python -m compileall -q app anti_terror run.py main.py

# A number of its own, so that a volume belongs to the same user in every build.
RUN useradd --system --uid 10001 --home-dir /data watchpost && install -d -o watchpost /data
USER watchpost
ENV PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=3)"]
CMD ["python", "run.py", "--data-dir", "/data"]
