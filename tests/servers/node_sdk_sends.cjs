// node node_sdk_sends.cjs PROTOCOL ADDRESS COUNT: so many spans and log records, by OpenTelemetry's exporters.
const [protocol, address, count] = process.argv.slice(2);
const kind = { grpc: "grpc", "http/protobuf": "proto", "http/json": "http" }[protocol];

const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${kind}`);

const resource = resourceFromAttributes({ "service.name": "storefront" });
const options = (path) => ({ url: kind === "grpc" ? `http://${address}` : `http://${address}${path}`, compression: "gzip" });

async function main() {
  const spans = new BatchSpanProcessor(new OTLPTraceExporter(options("/v1/traces")));
  const tracers = new BasicTracerProvider({ resource, spanProcessors: [spans] });
  const logs = new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(options("/v1/logs")) });
  const loggers = new LoggerProvider({ resource, processors: [logs] });
  for (let number = 0; number < Number(count); number++) {
    tracers.getTracer("shop").startSpan(`GET /stock/${number}`, { attributes: { number } }).end();
    loggers.getLogger("shop").emit({ body: `stock ${number}`, severityNumber: 9, attributes: { number } });
  }
  await tracers.shutdown();
  await loggers.shutdown();
}

main();
