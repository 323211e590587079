/** What the server extension says; see openapi.yaml. */

export interface IError {
  fact: string;
  remedy: string;
}

export interface ICluster {
  name: string;
  size: number;
  status: string;
  created: string;
}

export interface IStep {
  title: string;
  began: string;
}

export interface IOperation {
  id: string;
  verb: 'provision' | 'resize' | 'destroy' | 'grant' | 'revoke';
  cluster: string;
  arguments: Record<string, unknown>;
  started: string;
  ended: string | null;
  state: 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
  steps: IStep[];
  error: IError | null;
}

export interface IGrant {
  user: string;
  since: string;
  until: string | null;
}

/** When a cluster ends by itself. */
export interface ILife {
  /** In words. */
  life: string;
  end: string | null;
}

/** A user's access to a cluster of somebody else. */
export interface IAccess {
  id: string;
  cluster: string;
  namespace: string;
  file: string;
  expires: string;
}

export interface IExecutors {
  now: number;
  /** How many there may be; null where those of the cluster are the limit. */
  max: number | null;
}

/** A session, as Spark's history knows it. */
export interface IApplication {
  id: string;
  name: string;
  user: string;
  start: string;
  seconds: number;
  completed: boolean;
}

export interface IVerdict {
  found: Record<string, string>;
  wrong: Record<string, string>;
}

export interface IBundle {
  name: string;
  description: string;
  /** Patterns of names. */
  clusters: string[];
  modes: ('connect' | 'client')[];
  conf: Record<string, string>;
}

/** What a session can be attached with. */
export interface IBundles {
  cloud: string | null;
  bundles: IBundle[];
}

/** What the stream tells: it begins (again) with all operations, and goes on with what changes. */
export type StreamEvent =
  | { kind: 'begin' }
  | { kind: 'operation'; operation: IOperation }
  | { kind: 'removed'; id: string };
