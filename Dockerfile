# One image, roles by argument:
#
#   docker run IMAGE bridge --health-port 9464 --health-host 0.0.0.0
#   docker run IMAGE worker my_worker:worker
#   docker run IMAGE service my_handlers:app --host 0.0.0.0
#
# `--target kallback` is kallback alone: build your image FROM it and copy your modules to /app. The last stage adds the
# food-ordering example. requirements-image.lock lists everything that is installed, with hashes.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python3 -m venv /opt/kallback
COPY requirements-image.lock ./
RUN /opt/kallback/bin/python -m pip install --quiet --require-hashes --requirement requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY examples/quickstart examples/quickstart
COPY examples/starter examples/starter
# The build backend is in the lock, so no package index is asked here; it is removed afterwards.
RUN /opt/kallback/bin/python -m pip install --quiet --no-deps --no-build-isolation . \
    && /opt/kallback/bin/python -m pip uninstall --quiet --yes hatchling editables pip \
    && /opt/kallback/bin/python -m compileall -q -j 0 /opt/kallback/lib

FROM python:3.11-slim AS kallback
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin kallback
COPY --from=build /opt/kallback /opt/kallback
ENV PATH=/opt/kallback/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    KALLBACK_PROBE=http://127.0.0.1:9464/livez
WORKDIR /app
USER 10001
# SIGTERM drains and commits: allow more than the drain timeouts (10 s bridge, 25 s worker).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=6 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['KALLBACK_PROBE'], timeout=3)"]
ENTRYPOINT ["kallback"]
CMD ["--help"]

FROM kallback AS food-ordering
COPY --chown=10001:10001 examples/food_ordering /app
