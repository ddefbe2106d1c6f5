/** Feeds the metrics of what is hot, requests and syncs: a series is looked up once, not once a request. */
import type { Metrics } from "./catalogue.ts";

type Finished = (seconds: number, bytes: number) => void;

interface RequestRecorder {
  requestStarted(): void;
  requestFinished(method: string, pattern: string, status: number, seconds: number, bytes: number): void;
}

interface Sync {
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Counts what each sync of the journal has put on disk, and how long it took. */
export function recordSyncs(metrics: Metrics): (sync: Sync) => void {
  return ({ records, bytes, seconds }) => {
    metrics.journalAppends.inc(records);
    metrics.journalBytes.inc(bytes);
    metrics.journalSyncDuration.observe(seconds);
  };
}

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
