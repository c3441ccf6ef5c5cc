# Watchpost on the CPU, without torch:  docker build -t watchpost .
#   docker run -p 8000:8000 -v watchpost:/data watchpost
FROM python:3.11-slim

# OpenCV's wheel needs these two.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /srv
COPY requirements-lean.txt .
RUN pip install --no-cache-dir -r requirements-lean.txt
COPY run.py main.py ./
COPY static static
COPY app app
COPY anti_terror anti_terror
RUN python -m compileall -q app anti_terror run.py main.py

RUN useradd --system watchpost && mkdir /data && chown watchpost /data
USER watchpost
VOLUME /data
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=3)"]
CMD ["python", "run.py", "--data-dir", "/data"]
