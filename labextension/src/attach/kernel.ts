import type { Kernel, KernelMessage } from '@jupyterlab/services';

// Of a session of Connect, and of one whose driver is the kernel, which may have ended by itself.
const IS_ATTACHED =
  'not spark.is_stopped if hasattr(spark, "is_stopped") else not spark.sparkContext._jsc.sc().isStopped()';

/** Asks a kernel whether `spark` is a session that is not stopped. It answers when it is free. */
export async function isAttached(kernel: Kernel.IKernelConnection): Promise<boolean> {
  const reply = await execute(kernel, { code: '', user_expressions: { attached: IS_ATTACHED } });
  const told = (reply as KernelMessage.IReplyOkContent & { user_expressions?: Record<string, IExpression> }).user_expressions;
  return told?.attached?.data?.['text/plain'] === 'True';
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
