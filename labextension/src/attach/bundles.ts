import type { IBundle } from '../types';
import type { IChoice } from './choice';

/** The bundles that can be chosen for a cluster and a mode. */
export function offered(bundles: IBundle[], { cluster, mode }: Pick<IChoice, 'cluster' | 'mode'>): IBundle[] {
  return bundles.filter(bundle => bundle.modes.includes(mode) && bundle.clusters.some(pattern => matches(pattern, cluster)));
}

/** The properties of a choice: later bundles win over earlier ones, and the user's own over all. */
export function properties(bundles: IBundle[], choice: IChoice): Record<string, string> {
  const chosen = offered(bundles, choice).filter(bundle => choice.bundles.includes(bundle.name));
  return Object.assign({}, ...chosen.map(bundle => bundle.conf), choice.conf);
}

function matches(pattern: string, name: string): boolean {
  const expression = pattern.replace(/[\\^$.*+?()[\]{}|]/g, sign => (sign === '*' ? '.*' : sign === '?' ? '.' : `\\${sign}`));
  return new RegExp(`^${expression}$`).test(name);
}
