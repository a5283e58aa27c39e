/**
 * What agents call beside their segments (reference: SkyWalking's data-collect-protocol; seen from Java 9.4, Python 1.2 and Node 0.9). All
 * of it is read to the end and answered with empty `Commands`. `stream`: the client streams.
 */
export const otherCalls: Readonly<Record<string, Readonly<Record<string, 'unary' | 'stream'>>>> = {
  'skywalking.v3.ManagementService': { reportInstanceProperties: 'unary', keepAlive: 'unary' },
  'skywalking.v3.JVMMetricReportService': { collect: 'unary' },
  'skywalking.v3.CLRMetricReportService': { collect: 'unary' },
  'skywalking.v3.MeterReportService': { collect: 'stream', collectBatch: 'stream' },
  'skywalking.v3.LogReportService': { collect: 'stream' },
  'skywalking.v3.EventService': { collect: 'stream' },
  'skywalking.v3.ConfigurationDiscoveryService': { fetchConfigurations: 'unary' },
  'skywalking.v3.ProfileTask': {
    getProfileTaskCommands: 'unary',
    collectSnapshot: 'stream',
    goProfileReport: 'stream',
    reportTaskFinish: 'unary',
  },
  'skywalking.v3.BrowserPerfService': {
    collectPerfData: 'unary',
    collectErrorLogs: 'stream',
    collectWebVitalsPerfData: 'unary',
    collectResourcePerfData: 'unary',
    collectWebInteractionsPerfData: 'stream',
  },
  'skywalking.v3.SpanAttachedEventReportService': { collect: 'stream' },
  'skywalking.v3.EBPFProcessService': { reportProcesses: 'unary', keepAlive: 'unary' },
  'skywalking.v3.EBPFProfilingService': { queryTasks: 'unary', collectProfilingData: 'stream' },
  'skywalking.v3.EBPFAccessLogService': { collect: 'stream' },
  'skywalking.v3.ContinuousProfilingService': { queryPolicies: 'unary', reportProfilingTask: 'unary' },
  'skywalking.v10.AsyncProfilerTask': {
    getAsyncProfilerTaskCommands: 'unary',
    reportTaskFinish: 'unary',
    collect: 'stream',
  },
  'skywalking.v10.PprofTask': { getPprofTaskCommands: 'unary', reportTaskFinish: 'unary', collect: 'stream' },
}

export const segmentService = 'skywalking.v3.TraceSegmentReportService'

/** HTTP paths that agents post to beside segments. */
export const otherPaths: ReadonlySet<string> = new Set([
  '/v3/management/reportProperties',
  '/v3/management/keepAlive',
  '/v3/logs',
  '/v3/events',
  '/v3/meter',
  '/browser/perfData',
  '/browser/perfData/webVitals',
  '/browser/perfData/resources',
  '/browser/perfData/webInteractions',
  '/browser/errorLog',
  '/browser/errorLogs',
])

/** Old agents call the same services without a package. */
export function withoutPackage(service: string): string {
  return service.slice(service.lastIndexOf('.') + 1)
}
