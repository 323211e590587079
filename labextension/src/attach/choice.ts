import type { IAccess } from '../types';

/** Who is the driver: the cluster's server of Spark Connect, or the notebook's kernel. */
export type Mode = 'connect' | 'client';

/** How a notebook is attached. Its metadata keep this. */
export interface IChoice {
  cluster: string;
  /** The access by which it is the cluster of somebody else; empty for an own one. */
  access: string;
  mode: Mode;
  /** The names of the site's bundles. */
  bundles: string[];
  /** Properties of Spark that win over those of bundles. */
  conf: Record<string, string>;
  /** What executors have beside the image's packages, as attach() takes it; none if empty. */
  environment: string;
}

/** Returns a choice with a cluster that there is: that of the choice, else the first one; null where there is none. */
export function possible(choice: IChoice, ready: string[], accesses: IAccess[]): IChoice | null {
  const access = accesses.find(({ id }) => id === choice.access);
  if (choice.access ? access : ready.includes(choice.cluster)) {
    return choice;
  }
  if (ready.length) {
    return { ...choice, cluster: ready[0]!, access: '' };
  }
  const first = accesses[0];
  return first ? { ...choice, cluster: first.cluster, access: first.id, mode: 'connect' } : null;
}

/** Where the metadata of a notebook keep the choice. */
export const METADATA = 'astrok8s';

/** Reads a choice from the metadata of a notebook, which may be anybody's: what does not fit is as if it were not there. */
export function readChoice(value: unknown): IChoice {
  const said = record(value);
  return {
    cluster: text(said.cluster),
    access: text(said.access),
    mode: said.mode === 'client' ? 'client' : 'connect',
    bundles: Array.isArray(said.bundles) ? said.bundles.filter(isText) : [],
    conf: Object.fromEntries(Object.entries(record(said.conf)).filter((pair): pair is [string, string] => isText(pair[1]))),
    environment: text(said.environment)
  };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return isText(value) ? value : '';
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
