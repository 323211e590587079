/** Who is the driver: the cluster's server of Spark Connect, or the notebook's kernel. */
export type Mode = 'connect' | 'client';

/** How a notebook is attached. Its metadata keep this. */
export interface IChoice {
  cluster: string;
  mode: Mode;
  /** The names of the site's bundles. */
  bundles: string[];
  /** Properties of Spark that win over those of bundles. */
  conf: Record<string, string>;
  /** What executors have beside the image's packages, as attach() takes it; none if empty. */
  environment: string;
}

/** Where the metadata of a notebook keep the choice. */
export const METADATA = 'astrok8s';

/** Reads a choice from the metadata of a notebook, which may be anybody's: what does not fit is as if it were not there. */
export function readChoice(value: unknown): IChoice {
  const said = record(value);
  return {
    cluster: text(said.cluster),
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
