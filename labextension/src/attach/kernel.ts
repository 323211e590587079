import type { Kernel, KernelMessage } from '@jupyterlab/services';

// Of a session of Connect, and of one whose driver is the kernel, which may have ended by itself.
const IS_ATTACHED =
  'not spark.is_stopped if hasattr(spark, "is_stopped") else not spark.sparkContext._jsc.sc().isStopped()';

// By what name the server extension finds its pages.
const SESSION = '__import__("astrok8s.pages").pages.name(spark)';

export interface ISession {
  /** Whether `spark` is a session that is not stopped. */
  attached: boolean;
  /** By what name the server extension knows it; empty if it does not. */
  name: string;
}

/** Asks a kernel for its session. It answers when it is free. */
export async function sessionOf(kernel: Kernel.IKernelConnection): Promise<ISession> {
  const reply = await execute(kernel, { code: '', user_expressions: { attached: IS_ATTACHED, session: SESSION } });
  const told = (reply as KernelMessage.IReplyOkContent & { user_expressions?: Record<string, IExpression> }).user_expressions;
  const attached = told?.attached?.data?.['text/plain'] === 'True';
  const name = told?.session?.data?.['text/plain']?.slice(1, -1) ?? ''; // in Python's quotes
  return { attached, name: attached ? name : '' };
}

/**
 * Ends the session; in no cell, since one that stays in the notebook would end the session in the middle of "Run All".
 *
 * @throws what Python raised.
 */
export async function stop(kernel: Kernel.IKernelConnection): Promise<void> {
  const reply = await execute(kernel, { code: 'spark.stop()' });
  if (reply.status === 'error') {
    throw new Error(`${reply.ename}: ${reply.evalue}`);
  }
}

interface IExpression {
  data?: Record<string, string>;
}

async function execute(
  kernel: Kernel.IKernelConnection,
  request: KernelMessage.IExecuteRequestMsg['content']
): Promise<KernelMessage.IExecuteReplyMsg['content']> {
  const future = kernel.requestExecute({ ...request, silent: true, store_history: false, stop_on_error: false });
  return (await future.done).content;
}
