// A table whose indices stay valid while the elements live, and are used again afterwards.

/// Elements by small, stable indices.
struct Slab<Element> {
  // Not one array of optionals: reading a field through an optional copies the whole element. What
  // was removed stays in its place, out of reach, until the place is used again.
  private var elements: [Element] = []
  private var isUsed: [Bool] = []
  private var free: [Int] = []
  /// How many elements there are.
  private(set) var count = 0

  /// Adds an element and gives its index.
  mutating func insert(_ element: Element) -> Int {
    count += 1
    if let index = free.popLast() {
      elements[index] = element
      isUsed[index] = true
      return index
    }
    elements.append(element)
    isUsed.append(true)
    return elements.count - 1
  }

  /// Takes the element at `index` out. The index is not given again before `recycle`: whoever was
  /// told of it has to hear that it ended first.
  mutating func remove(_ index: Int) {
    precondition(isUsed[index])
    isUsed[index] = false
    count -= 1
  }

  /// Lets the index of a removed element be given again.
  mutating func recycle(_ index: Int) {
    precondition(!isUsed[index])
    free.append(index)
  }

  /// Whether there is an element at `index`.
  func contains(_ index: Int) -> Bool { isUsed.indices.contains(index) && isUsed[index] }

  /// The indices of all elements.
  var indices: some Sequence<Int> {
    isUsed.indices.lazy.filter { [isUsed] in isUsed[$0] }
  }

  /// The element at `index`; traps where there is none.
  subscript(index: Int) -> Element {
    @inline(__always) _read {
      precondition(isUsed[index])
      yield elements[index]
    }
    @inline(__always) _modify {
      precondition(isUsed[index])
      yield &elements[index]
    }
  }
}
