import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { RJSFSchema } from '@rjsf/utils';
import { Refusal } from './refusal';
import type { IAccess, IApplication, IBundles, ICluster, IExecutors, IGrant, ILife, IOperation, IVerdict } from './types';

/** The routes of the server extension. */
export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  async clusters(): Promise<ICluster[]> {
    return (await (await this.request('clusters')).json()).clusters;
  }

  /** The JSON Schema of a declaration. */
  async options(): Promise<RJSFSchema> {
    return (await this.request('options')).json();
  }

  /** What a session can be attached with. */
  async bundles(): Promise<IBundles> {
    return (await this.request('bundles')).json();
  }

  /** Whether the cloud can make what is declared. */
  async preflight(declaration: object, signal: AbortSignal): Promise<IVerdict> {
    return (await this.request('preflight', { ...post(declaration), signal })).json();
  }

  /** Has a cluster made, or made as it is declared. */
  async declare(declaration: object): Promise<IOperation> {
    return (await this.request('clusters', post(declaration))).json();
  }

  /** Gives a cluster another number of workers, and leaves all else of it as it is. */
  async resize(cluster: string, size: number): Promise<IOperation> {
    const init = { method: 'PATCH', body: JSON.stringify({ size }) };
    return (await this.request(`clusters/${encodeURIComponent(cluster)}`, init)).json();
  }

  /** When a cluster ends by itself. */
  async life(cluster: string): Promise<ILife> {
    return (await this.request(`clusters/${encodeURIComponent(cluster)}/life`)).json();
  }

  /** Lets a cluster live longer. */
  async extend(cluster: string, by: string): Promise<ILife> {
    return (await this.request(`clusters/${encodeURIComponent(cluster)}/life`, post({ by }))).json();
  }

  async destroy(cluster: string): Promise<IOperation> {
    return (await this.request(`clusters/${encodeURIComponent(cluster)}`, { method: 'DELETE' })).json();
  }

  async grants(cluster: string): Promise<IGrant[]> {
    return (await (await this.request(`clusters/${encodeURIComponent(cluster)}/grants`)).json()).grants;
  }

  /** Gives a user access, until a time or for as long as it is used. */
  async grant(cluster: string, user: string, until: string): Promise<IOperation> {
    const body = { user, ...(until && { until }) };
    return (await this.request(`clusters/${encodeURIComponent(cluster)}/grants`, post(body))).json();
  }

  async revoke(cluster: string, user: string): Promise<IOperation> {
    const path = `clusters/${encodeURIComponent(cluster)}/grants/${encodeURIComponent(user)}`;
    return (await this.request(path, { method: 'DELETE' })).json();
  }

  /** The sessions of all clusters; this one is asked. */
  async history(cluster: string): Promise<IApplication[]> {
    return (await (await this.request(`clusters/${encodeURIComponent(cluster)}/history`)).json()).applications;
  }

  /** Keeps an application credential as that of the cloud, if the cloud accepts it. */
  async authenticate(clouds: string): Promise<void> {
    await this.request('credential', { method: 'PUT', body: JSON.stringify({ clouds }) });
  }

  /** The accesses to clusters of others. */
  async accesses(): Promise<IAccess[]> {
    return (await (await this.request('accesses')).json()).accesses;
  }

  /** Keeps an access that was granted. */
  async accept(kubeconfig: string): Promise<void> {
    await this.request('accesses', post({ kubeconfig }));
  }

  async forgetAccess(id: string): Promise<void> {
    await this.request(`accesses/${id}`, { method: 'DELETE' });
  }

  /** Where Spark's pages of an application are, in the history that a cluster tells. */
  historyPage(cluster: string, application: string): string {
    return this.url(`clusters/${encodeURIComponent(cluster)}/pages/history/${encodeURIComponent(application)}/jobs/`);
  }

  /** Where Spark's pages of a session are. */
  sessionPages(session: string): string {
    return this.url(`sessions/${session}/pages/`);
  }

  /** How many executors a session has. */
  async executors(session: string): Promise<IExecutors> {
    return (await this.request(`sessions/${session}/executors`)).json();
  }

  async cancel(id: string): Promise<void> {
    await this.request(`operations/${id}/cancel`, { method: 'POST' });
  }

  /** Forgets an operation that has ended. */
  async forget(id: string): Promise<void> {
    await this.request(`operations/${id}`, { method: 'DELETE' });
  }

  async log(id: string): Promise<string> {
    return (await this.request(`operations/${id}/log`)).text();
  }

  /** Not by EventSource, which sends no token and does not tell a refusal from a cut. */
  events(signal: AbortSignal): Promise<Response> {
    return this.request('events', { signal });
  }

  private url(path: string): string {
    return URLExt.join(this.settings.baseUrl, 'astrok8s', path);
  }

  private async request(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await ServerConnection.makeRequest(this.url(path), init, this.settings);
    if (!response.ok) {
      throw await Refusal.from(response);
    }
    return response;
  }
}

function post(body: object): RequestInit {
  return { method: 'POST', body: JSON.stringify(body) };
}
