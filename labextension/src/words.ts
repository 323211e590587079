import type { ICluster, IExecutors, IOperation } from './types';

/** How long ago it was, short enough for a narrow panel. */
export function age(since: string, now: number): string {
  const minutes = Math.max(0, Math.floor((now - Date.parse(since)) / 60_000));
  if (minutes < 1) {
    return 'just now';
  }
  if (minutes < 60) {
    return `${minutes} min`;
  }
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/** Minutes and seconds that have passed. */
export function elapsed(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** The number of workers in words. */
export function workers(size: number): string {
  return `${size} ${size === 1 ? 'worker' : 'workers'}`;
}

/** How many executors there are, and may be. */
export function executors({ now, max }: IExecutors): string {
  return max === null ? `${now} ${now === 1 ? 'executor' : 'executors'}` : `${now} of ${max} executors`;
}

/** How a cluster is, by Magnum's status. */
export function condition(status: string): { kind: 'good' | 'busy' | 'bad'; text: string } {
  if (status.endsWith('_COMPLETE')) {
    return { kind: 'good', text: 'Ready' };
  }
  if (status.endsWith('_FAILED')) {
    return { kind: 'bad', text: 'Failed' };
  }
  const doing: Record<string, string> = { CREATE: 'Being made', DELETE: 'Being taken away' };
  return { kind: 'busy', text: doing[status.split('_')[0]!] ?? 'Being changed' };
}

/** What an operation does, or did not do. */
export function doing(operation: IOperation, cluster: ICluster | undefined): string {
  const user = operation.arguments.user;
  const words: Record<string, [string, string]> = {
    provision: cluster ? ['Changing', 'change'] : ['Creating', 'create'],
    resize: [`Resizing to ${operation.arguments.size}`, `resize to ${operation.arguments.size}`],
    destroy: ['Destroying', 'destroy'],
    grant: [`Giving ${user} access`, `give ${user} access`],
    revoke: [`Taking the access of ${user}`, `take the access of ${user}`]
  };
  const [now, then] = words[operation.verb]!;
  switch (operation.state) {
    case 'running':
      return now;
    case 'cancelled':
      return `Cancelled: ${then}`;
    default:
      return `Failed to ${then}`;
  }
}

/** How long it took, in the largest two units. */
export function lasted(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) {
    return `${Math.round(seconds)} s`;
  }
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
