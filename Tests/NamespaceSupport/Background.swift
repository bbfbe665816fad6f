// Threads. A test blocks (in poll, recvmmsg, nanosleep), so it must not sit on the two threads of
// the concurrency pool: each gets threads of its own.

import Glibc
import Synchronization

/// A function that runs on a thread of its own, and its result.
public final class Background<Result: Sendable>: Sendable {
  private let result = Shared<Result?>(nil)
  private let thread = Shared<pthread_t?>(nil)

  /// Starts the thread.
  public init(_ body: @escaping @Sendable () -> Result) {
    let handle = startThread { [self] in
      let value = body()
      result.update { $0 = value }
    }
    thread.update { $0 = handle }
  }

  /// Waits for the end. To be called once.
  public func join() -> Result {
    let handle = thread.update { $0.take() }
    guard let handle else { preconditionFailure("joined twice") }
    pthread_join(handle, nil)
    return result.current!
  }
}

/// Runs each job of a task on a thread of its own.
private final class ThreadPerJob: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = unsafe asUnownedTaskExecutor()
    startDetachedThread { unsafe job.runSynchronously(on: executor) }
  }
}

/// Runs a body that blocks, as part of the calling task, on a thread of its own.
public func blocking<Result: Sendable>(
  _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
  try await withTaskExecutorPreference(ThreadPerJob()) { try body() }
}

private final class Job {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}

/// Runs a function on a thread that nobody waits for.
func startDetachedThread(_ body: @escaping () -> Void) {
  pthread_detach(startThread(body))
}

private func startThread(_ body: @escaping () -> Void) -> pthread_t {
  let job = unsafe Unmanaged.passRetained(Job(body)).toOpaque()
  var handle = pthread_t()
  let error = unsafe pthread_create(
    &handle, nil,
    { argument in
      unsafe Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, job)
  precondition(error == 0, "pthread_create")
  return handle
}

/// The nice value of rsock and of the load (setpriority(2)): a test that counts loss judges the
/// program, not what else the machine does. No more than this, or ksoftirqd, which has 0 and
/// carries the packets when there are many, would starve.
public let priority: Int32 = -5

/// Gives the calling thread that priority: on Linux nice values belong to threads.
func hurry() {
  _ = setpriority(PRIO_PROCESS, 0, priority)
}

/// A value that threads share. A pthread mutex guards it: the thread sanitizer knows those, and takes
/// what a `Mutex` guards for races.
@safe public final class Shared<Value: Sendable>: @unchecked Sendable {
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  /// Shares a value.
  public init(_ value: Value) {
    self.value = value
    let error = unsafe pthread_mutex_init(lock, nil)
    precondition(error == 0, "pthread_mutex_init")
  }

  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deallocate()
  }

  /// The value now.
  public var current: Value { update { $0 } }

  /// Reads or changes the value while nobody else does.
  @discardableResult
  public func update<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return try body(&value)
  }
}

/// Something that one thread says and others hear.
public final class Signal: Sendable {
  private let flag = Atomic(false)

  /// A signal that is not raised.
  public init() {}
  /// Whether it was raised.
  public var isRaised: Bool { flag.load(ordering: .acquiring) }
  /// Raises it for good.
  public func raise() { flag.store(true, ordering: .releasing) }
}
