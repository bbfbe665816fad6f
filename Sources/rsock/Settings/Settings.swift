// All that the user said: options win over the file, the file over the defaults.

package import Driver

/// The settings of one command, from the command line and the file.
package struct Settings {
  /// What the user should know about the settings, a line each.
  package var notes: [String] = []
  private var values: [SettingName: Setting] = [:]

  /// Puts the options over what `file`, if any, says.
  package init(options: [SettingName: String], file path: String?) throws(StartError) {
    if let path {
      let file = try ConfigurationFile(path: path)
      values = file.settings
      notes = file.notes
    }
    for (name, text) in options { values[name] = Setting(name: name, text: text, file: nil) }
  }

  /// One setting, if the user gave it.
  package subscript(name: SettingName) -> Setting? { values[name] }

  /// Takes note of a setting that does nothing.
  package mutating func ignore(_ name: SettingName, _ reason: String) {
    guard let setting = values[name] else { return }
    notes.append("\(setting.place) is accepted and ignored: \(reason)")
  }
}
