# make image
# docker run --rm -v "$PWD/secrets:/secrets" instagram-for-warehouses/source-instagram:0.1.0 check --config /secrets/config.json
#
# The image below it is said in metadata.yaml alone; image.py passes it on, and the labels.
ARG BASE_IMAGE

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY source_instagram ./source_instagram
COPY manifest_lint ./manifest_lint
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${BASE_IMAGE}
RUN groupadd --gid 1000 airbyte && useradd --uid 1000 --gid airbyte --create-home airbyte
WORKDIR /airbyte/integration_code
COPY constraints.txt ./
COPY --from=build /wheels /wheels
# Byte-compiled, for the user who runs it cannot write here: without, every start takes twice as long.
RUN pip install --no-cache-dir --compile --constraint constraints.txt /wheels/*.whl && rm -r /wheels
COPY main.py ./
USER airbyte
ENV AIRBYTE_ENTRYPOINT="python /airbyte/integration_code/main.py"
ENTRYPOINT ["python", "/airbyte/integration_code/main.py"]
