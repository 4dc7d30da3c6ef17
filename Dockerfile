# Build the wheel, install it into a clean environment, run it as nobody in particular.
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY her2node ./her2node
RUN python -m venv /opt/her2node \
    && /opt/her2node/bin/pip install --no-cache-dir '.[postgres]'

FROM python:3.12-slim-bookworm
COPY --from=build /opt/her2node /opt/her2node
RUN useradd --system --uid 10112 --create-home --home-dir /var/lib/her2node her2node \
    && mkdir -p /etc/her2node && chown her2node /var/lib/her2node
ENV PATH=/opt/her2node/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HER2NODE_STATE_DIR=/var/lib/her2node \
    HER2NODE_LOG_FORMAT=json
USER her2node
VOLUME /var/lib/her2node
EXPOSE 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["her2node", "doctor", "--local"]
ENTRYPOINT ["her2node"]
CMD ["up"]
