"""Sends one trace, one log line and three metrics with OpenTelemetry's own SDK.

usage: otlp_client.py grpc|http ENDPOINT
"""
import logging
import sys

protocol, endpoint = sys.argv[1:3]
try:
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    if protocol == "grpc":
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
except ImportError as error:
    print(f"missing: {error}", flush=True)
    sys.exit(0)


def settings(path):
    if protocol == "grpc":
        return {"endpoint": endpoint, "insecure": True, "compression": Compression.Gzip}
    return {"endpoint": endpoint + path, "compression": Compression.Gzip}


resource = Resource({"service.name": "client", "service.instance.id": protocol, "host.name": "h1"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**settings("/v1/traces"))))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**settings("/v1/logs"))))
logger = logging.getLogger("client")
logger.addHandler(LoggingHandler(logger_provider=logs))
tracer = traces.get_tracer("library", "1.2")
with tracer.start_as_current_span("parent", attributes={"number": 7, "list": ["a", "b"]}):
    with tracer.start_as_current_span("child") as child:
        child.add_event("boom", {"factor": 1.5})
        logger.warning("hello %s", "world", extra={"answer": 42})
        print(f"trace {child.get_span_context().trace_id:032x}", flush=True)

reader = PeriodicExportingMetricReader(OTLPMetricExporter(**settings("/v1/metrics")), export_interval_millis=3_600_000)
metrics = MeterProvider(resource=resource, metric_readers=[reader])
meter = metrics.get_meter("library")
meter.create_counter("requests", unit="1").add(3, {"route": "/pay"})
meter.create_histogram("request.duration", unit="s").record(0.2, {"route": "/pay"})
meter.create_up_down_counter("queue.length", unit="{item}").add(4)
metrics.shutdown()
traces.shutdown()
logs.shutdown()
print("done", flush=True)
