import { Poll } from '@lumino/polling';
import { Signal } from '@lumino/signaling';
import type { Api } from './api';
import { Refusal } from './refusal';
import { follow } from './stream';
import type { IAccess, ICluster, IError, IOperation } from './types';

/** A line of the panel: a cluster, and what is done or was not done to it. One of the two is there. */
export interface IRow {
  name: string;
  cluster?: ICluster;
  operation?: IOperation;
}

/** What the panel shows. It asks nothing of the server before it is shown. */
export class ClustersModel {
  constructor(
    readonly api: Api,
    private readonly isShown: () => boolean
  ) {
    this.poll = new Poll({
      auto: false,
      factory: () => this.refresh(),
      frequency: { interval: 10_000, backoff: true, max: 60_000 },
      name: 'astrok8s:clusters',
      standby: () => !this.isShown() || document.hidden
    });
  }

  readonly changed = new Signal<this, void>(this);

  /** What was refused last, or else why the clusters are not known. */
  get error(): IError | null {
    return this.refused ?? this.unknown;
  }

  /** The lines in the order of their names; none before the cloud has told. */
  get rows(): IRow[] | null {
    const rows = new Map<string, IRow>();
    this.clusters?.forEach(cluster => rows.set(cluster.name, { name: cluster.name, cluster }));
    for (const operation of this.operations.values()) {
      // The latest of a cluster says how it is; a success says no more than the cluster itself does.
      const row = rows.get(operation.cluster) ?? { name: operation.cluster };
      const shown = operation.state === 'succeeded' ? undefined : operation;
      rows.set(operation.cluster, { ...row, operation: shown });
    }
    const found = [...rows.values()].filter(row => row.cluster || row.operation);
    return this.clusters || found.length ? found.sort((a, b) => a.name.localeCompare(b.name)) : null;
  }

  /** The user's accesses to clusters of others. */
  accesses: IAccess[] = [];

  /** The last operation of a kind on a cluster that has succeeded. */
  succeeded(verb: IOperation['verb'], cluster: string): IOperation | undefined {
    const found = [...this.operations.values()].filter(o => o.verb === verb && o.cluster === cluster);
    return found.filter(o => o.state === 'succeeded').at(-1);
  }

  /** Begins to look; again, at once, whenever the panel is shown. */
  start(): void {
    if (!this.isFollowing) {
      this.isFollowing = true;
      void this.follow();
    }
    void this.poll.start();
    void this.poll.refresh();
    void this.act(() => this.readAccesses());
  }

  /** Gives the cloud another credential. */
  async authenticate(clouds: string): Promise<void> {
    await this.act(() => this.api.authenticate(clouds));
    void this.poll.refresh();
  }

  /** Changes the accesses, which are not looked at all the time: nobody else changes them. */
  async changeAccesses(change: () => Promise<void>): Promise<void> {
    await this.act(async () => {
      await change();
      await this.readAccesses();
    });
  }

  /** Does something to a cluster, and shows what is wrong with that. */
  async act(action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
      this.refused = null;
    } catch (error) {
      this.refused = Refusal.of(error);
    }
    this.changed.emit();
  }

  dispose(): void {
    this.over.abort();
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async readAccesses(): Promise<void> {
    this.accesses = await this.api.accesses();
  }

  private async refresh(): Promise<void> {
    try {
      this.clusters = await this.api.clusters();
      this.unknown = null;
    } catch (error) {
      this.unknown = Refusal.of(error);
      throw error;
    } finally {
      this.changed.emit();
    }
  }

  private async follow(): Promise<void> {
    try {
      for await (const event of follow(signal => this.api.events(signal), this.over.signal)) {
        if (event.kind === 'begin') {
          this.operations.clear();
        } else if (event.kind === 'removed') {
          this.operations.delete(event.id);
        } else {
          this.take(event.operation);
        }
        this.changed.emit();
      }
    } catch (error) {
      this.unknown = Refusal.of(error);
      this.isFollowing = false; // shown again, it tries again
      this.changed.emit();
    }
  }

  private take(operation: IOperation): void {
    const before = this.operations.get(operation.id);
    this.operations.set(operation.id, operation);
    // The cloud knows of a cluster soon after its operation began, and what has become of it when that has ended.
    if (before?.state !== operation.state || before.steps.length !== operation.steps.length) {
      void this.poll.refresh();
    }
  }

  private refused: IError | null = null;
  private unknown: IError | null = null;
  private clusters: ICluster[] | null = null;
  private isFollowing = false;
  private readonly operations = new Map<string, IOperation>();
  private readonly over = new AbortController();
  private readonly poll: Poll;
}
