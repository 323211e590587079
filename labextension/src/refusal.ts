import type { IError } from './types';

/** The server's no: with fact and remedy where astrok8s said it, with what is known where something else did. */
export class Refusal extends Error implements IError {
  constructor(
    readonly fact: string,
    readonly remedy: string
  ) {
    super(`${fact} ${remedy}`.trim());
  }

  static async from(response: Response): Promise<Refusal> {
    if (response.status === 403) {
      return new Refusal("Jupyter's server does not know you any more.", 'Reload the page to log in again.');
    }
    const body = await response.json().catch(() => ({}));
    if (typeof body.fact === 'string') {
      return new Refusal(body.fact, body.remedy);
    }
    return new Refusal(`The server answered ${response.status} ${response.statusText}.`, 'See the log of Jupyter.');
  }

  /** Any error, as one that can be shown. */
  static of(error: unknown): IError {
    if (error instanceof Refusal) {
      return error;
    }
    return { fact: `Jupyter's server does not answer (${error}).`, remedy: 'It is asked again and again.' };
  }
}
