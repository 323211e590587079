import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { RJSFSchema } from '@rjsf/utils';
import { Refusal } from './refusal';
import type { ICluster, IOperation, IVerdict } from './types';

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

  /** Whether the cloud can make what is declared. */
  async preflight(declaration: object, signal: AbortSignal): Promise<IVerdict> {
    return (await this.request('preflight', { ...post(declaration), signal })).json();
  }

  /** Has a cluster made, or made as it is declared. */
  async declare(declaration: object): Promise<IOperation> {
    return (await this.request('clusters', post(declaration))).json();
  }

  async destroy(cluster: string): Promise<IOperation> {
    return (await this.request(`clusters/${encodeURIComponent(cluster)}`, { method: 'DELETE' })).json();
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
