import type { Mode } from './choice';

/** Properties that are offered while one types a name; any other can be typed, too. */
const SESSION = [
  'spark.sql.adaptive.enabled',
  'spark.sql.ansi.enabled',
  'spark.sql.autoBroadcastJoinThreshold',
  'spark.sql.execution.arrow.maxRecordsPerBatch',
  'spark.sql.execution.arrow.pyspark.enabled',
  'spark.sql.files.maxPartitionBytes',
  'spark.sql.session.timeZone',
  'spark.sql.shuffle.partitions'
];
const APPLICATION = [
  'spark.driver.maxResultSize',
  'spark.driver.memory',
  'spark.dynamicAllocation.enabled',
  'spark.dynamicAllocation.maxExecutors',
  'spark.executor.cores',
  'spark.executor.instances',
  'spark.executor.memory',
  'spark.executor.memoryOverhead',
  'spark.log.level',
  'spark.task.cpus'
];

/** The server of Spark Connect takes those of a session alone. */
export function known(mode: Mode): string[] {
  return mode === 'connect' ? SESSION : [...APPLICATION, ...SESSION];
}
