# One image for every process of the platform; docker-compose.yml says which one a container runs.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    OPENBLAS_NUM_THREADS=1 \
    OMP_NUM_THREADS=1 \
    SOUK_HOME=/var/lib/souk \
    NUMBA_CACHE_DIR=/var/lib/souk/cache/kernels

# libgomp: scikit-learn and onnxruntime load it, and the slim image leaves it out.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin souk \
    && install --directory --owner=souk --group=souk --mode=0700 /var/lib/souk \
    && install --directory --owner=souk --group=souk --mode=0700 /mqtt-tls

WORKDIR /app
COPY requirements.lock ./
RUN pip install --require-hashes --no-deps -r requirements.lock

COPY market ./market
COPY allocator ./allocator
COPY sim ./sim
COPY db ./db
COPY broker ./broker
COPY api ./api
COPY edge_agent ./edge_agent
COPY client ./client
COPY stack ./stack
COPY dashboards/dist ./dashboards/dist
RUN python -m compileall -q -j 0 /app

USER souk
VOLUME /var/lib/souk
EXPOSE 8080 8443
CMD ["python", "-m", "api"]
