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
  verb: 'provision' | 'destroy';
  cluster: string;
  arguments: Record<string, unknown>;
  started: string;
  ended: string | null;
  state: 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
  steps: IStep[];
  error: IError | null;
}

export interface IVerdict {
  found: Record<string, string>;
  wrong: Record<string, string>;
}

/** What the stream tells: it begins (again) with all operations, and goes on with what changes. */
export type StreamEvent =
  | { kind: 'begin' }
  | { kind: 'operation'; operation: IOperation }
  | { kind: 'removed'; id: string };
