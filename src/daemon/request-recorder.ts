/** Feeds the request metrics; children are looked up once a series, not once a request. */
import type { RequestRecorder } from "../http/middleware/metrics.ts";
import type { Metrics } from "../metrics/catalogue.ts";

type Finished = (seconds: number, bytes: number) => void;

/** Its memory is bounded by methods x routes x statuses: none of them is a client's to choose. */
export function recordRequests(metrics: Metrics): RequestRecorder {
  const series = new Map<string, Map<number, Finished>>();
  return {
    requestStarted: () => metrics.httpRequestsInFlight.inc(),
    requestFinished(method, pattern, status, seconds, bytes) {
      metrics.httpRequestsInFlight.dec();
      const name = `${method} ${pattern}`;
      let statuses = series.get(name);
      if (statuses === undefined) series.set(name, (statuses = new Map<number, Finished>()));
      let finished = statuses.get(status);
      if (finished === undefined) statuses.set(status, (finished = resolve(metrics, method, pattern, status)));
      finished(seconds, bytes);
    },
  };
}

function resolve(metrics: Metrics, method: string, pattern: string, status: number): Finished {
  const requests = metrics.httpRequests.labels(method, pattern, String(status));
  const duration = metrics.httpRequestDuration.labels(method, pattern);
  const responseBytes = metrics.httpResponseBytes.labels(pattern);
  return (seconds, bytes) => {
    requests.inc();
    duration.observe(seconds);
    responseBytes.inc(bytes);
  };
}
