import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { RJSFSchema } from '@rjsf/utils';
import { Refusal } from './refusal';
import type { IApplication, IBundles, ICluster, IGrant, IOperation, IVerdict } from './types';

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

  private async request(path: string, init: RequestInit = {}): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, 'astrok8s', path);
    const response = await ServerConnection.makeRequest(url, init, this.settings);
    if (!response.ok) {
      throw await Refusal.from(response);
    }
    return response;
  }
}

function post(body: object): RequestInit {
  return { method: 'POST', body: JSON.stringify(body) };
}
