//! Wrong usage, no project, and what needs none.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: without a project a command says how to get one.
#[test]
fn no_project() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("list"), @r"
    exit 1
    --- stdout
    --- stderr
    error: no `asof.toml` in `[DIR]` or any folder above it

    hint: name the project with `--project DIR`, or begin one with `asof init DIR`
    ");
    assert_snapshot!(scene.run("list --project nowhere"), @r"
    exit 1
    --- stdout
    --- stderr
    error: no `asof.toml` in `nowhere` or any folder above it

    hint: name the project with `--project DIR`, or begin one with `asof init DIR`
    ");
}

/// Goal: a project is found from a folder inside it, and by name from anywhere.
#[test]
fn project_is_found() {
    let scene = Scene::applied();
    scene.write("inside/deep/note.txt", "");
    let here = scene.does("list");
    assert_eq!(scene.does(&format!("list --project {}", scene.path().display())), here);
    let inside = std::process::Command::new(env!("CARGO_BIN_EXE_asof"))
        .arg("list")
        .current_dir(scene.path().join("inside/deep"))
        .output()
        .expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&inside.stdout), here);
}

/// Goal: wrong usage ends with 2 and names what is wrong.
#[test]
fn wrong_usage() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("aply"), @r"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'aply'

      tip: a similar subcommand exists: 'apply'

    Usage: asof [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("get driver_id=7"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <--service <SERVICE>|--features <VIEW:FEATURE>>

    Usage: asof get <--service <SERVICE>|--features <VIEW:FEATURE>> <KEY=VALUE>...

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("get --service a --features b:c driver_id=7"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the argument '--service <SERVICE>' cannot be used with '--features <VIEW:FEATURE>'

    Usage: asof get <--service <SERVICE>|--features <VIEW:FEATURE>> <KEY=VALUE>...

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("get --service a driver_id"), @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'driver_id' for '[KEY=VALUE]...': not of the form `name=value`

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("materialize --start yesterday"), @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'yesterday' for '--start <T>': not an instant, such as `2026-01-31T12:00:00Z`

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("train --labels l.csv --service s -o o.csv --known-at never"), @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'never' for '--known-at <WHAT>'
      [possible values: event, created, served]

      tip: a similar value exists: 'served'

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("train --labels l.csv --service s -o o.csv --zone Mars/Base"), @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'Mars/Base' for '--zone <ZONE>': not a time zone, such as `Europe/London`

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("verify --sample 0"), @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value '0' for '--sample <KEYS>': 0 is not in 1..=10000

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("list --quiet -v"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the argument '--quiet' cannot be used with '--verbose...'

    Usage: asof list --quiet

    For more information, try '--help'.
    ");
}

/// Goal: the help lists every command.
#[test]
fn help() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("--help"), @"
    exit 0
    --- stdout
    A feature store: what a model trains on is, byte for byte, what it is served

    Usage: asof [OPTIONS] <COMMAND>

    Commands:
      init         Begin a project: a folder with settings, a small working example and its data
      plan         Show what `apply` would do, and do nothing
      apply        Make the definitions of the files those of the store
      list         List what was applied
      show         Show what was applied under a name
      materialize  Load the rows of sources into history and the online store
      push         Push rows to a source: durable at once, and from there in every view over it
      train        Make a training set: features as of the time of each label
      get          Get the values of features for one entity key
      serve        Serve features over HTTP
      verify       Compare what is served with what history says, byte for byte
      status       Show how each view is, in history and online
      compact      Bring the small files of history together
      vacuum       Remove files of history that no reader needs any more
      forget       Forget an entity key: history, online store and records, for good
      bench        Measure: make data, drive a server
      schema       Print the JSON Schema of definition files, for editors
      completions  Print the completions of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Everywhere:
          --project <DIR>  The project's folder. By default the nearest one above that holds `asof.toml`
      -q, --quiet          Say nothing on stderr but errors
      -v, --verbose...     Say more on stderr; twice for still more
    --- stderr
    ");
    assert_snapshot!(scene.run("train -h"), @"
    exit 0
    --- stdout
    Make a training set: features as of the time of each label

    Usage: asof train [OPTIONS] --output <FILE> <--service <SERVICE>|--features <VIEW:FEATURE>>

    Options:
          --labels <FILE>             The label table, Parquet or CSV: a file, folder or URL
          --labels-sql <SQL>          A query that makes the label table, or `@FILE` with it: its
                                      `source` is what `--labels` names, and it finds the sources of the
                                      project by their names
          --service <SERVICE>         The features of this service
          --features <VIEW:FEATURE>   Features, as `view:feature`, `view@2:feature` or `view:*`, with
                                      commas between them
      -o, --output <FILE>             Where the training set goes: a file, `.parquet` or `.csv`, or a
                                      folder of Parquet files; a path or a URL
          --timestamp <COLUMN>        The label column with the instants [default: event_timestamp]
          --key <JOIN_KEY=COLUMN>     The label column that carries a join key, where it is not called
                                      like it
          --known-at <WHAT>           What may hide a row at the time of a label: that it had not
                                      happened, that its source did not know it, or that this store
                                      could not have served it [default: event] [possible values: event,
                                      created, served]
          --full-names                Call features `view__feature` or `alias__feature`
          --status                    Follow each feature by its status, in a column `<name>__status`
          --include-expired           Return values past their ttl too
          --zone <ZONE>               The time zone of label times without offset [default: UTC]
          --unit <UNIT>               The unit of label times that are integers: s, ms, us or ns
          --known-at-column <COLUMN>  The label column with the instant as of which each label knows
                                      what it knows, where that is not its time
          --memory <SIZE>             Memory to stay within, such as `4GB`; what does not fit goes to
                                      `.asof/scratch`. By default half of the machine's
          --threads <N>               Threads to work on. By default one for each core
          --compression <CODEC>       How a Parquet file is packed: none, snappy, lz4, zstd, gzip or
                                      brotli, some with a level, as in `zstd:9` [default: snappy]
          --row-group-rows <ROWS>     Rows of a row group of a Parquet file [default: 131072]
          --file-rows <ROWS>          Cut a folder into files of about so many rows
          --partition-by <COLUMN>     Put rows into folders `column=value` by the values of columns;
                                      these columns stand in no file
          --split-since <T>           Put labels from this instant on into a folder `validation`, others
                                      into `train`
          --split-share <SHARE>       Put this share of all keys, chosen by their hash, into a folder
                                      `validation`, others into `train`
          --split-key <JOIN_KEY>      The join key by which a share is chosen. By default all that are
                                      asked for, together
          --no-statistics             Leave out what each column holds: counts, bounds, moments,
                                      distinct values, quantiles
          --explain                   Tell how the work was done: what was read and left out, and why,
                                      what went to scratch, time and memory of each step
          --format <FORMAT>           How the answer is written [default: text] [possible values: text,
                                      json]
      -h, --help                      Print help (see more with '--help')

    Everywhere:
          --project <DIR>  The project's folder. By default the nearest one above that holds `asof.toml`
      -q, --quiet          Say nothing on stderr but errors
      -v, --verbose...     Say more on stderr; twice for still more
    --- stderr
    ");
}

/// Goal: completions know the commands, for every shell.
#[test]
fn completions() {
    let scene = Scene::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = scene.does(&format!("completions {shell}"));
        assert!(script.contains("materialize"), "{shell}");
    }
}

/// Goal: settings that can't be read name file, line and column, and the nearest key.
#[test]
fn bad_settings() {
    let scene = Scene::empty();
    scene.write("asof.toml", "projekt = \"x\"\n[online]\ncache = \"much\"\n");
    assert_snapshot!(scene.run("plan"), @r#"
    exit 1
    --- stdout
    --- stderr
    error: asof.toml:1:1: unknown key `projekt`
    hint: did you mean `project`?

    error: asof.toml:3:9: `much` is not a size
    hint: a size is a whole number and a unit, in quotes: `"64MB"`, `"4GB"`, `"1GiB"`
    "#);
    scene.write("asof.toml", "project = \n");
    assert_snapshot!(scene.run("plan"), @r"
    exit 1
    --- stdout
    --- stderr
    error: asof.toml:1:11: not TOML: string values must be quoted, expected literal string
    ");
}

/// Goal: an answer that can't be written is a failure; `-v` tells on stderr what was done.
#[test]
#[cfg(target_os = "linux")]
fn full_disk_and_verbose() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("materialize -v"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          3      3              0    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    trips@1: 3 rows
    ");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let output = scene.command("list").stdout(full).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(String::from_utf8_lossy(&output.stderr), @r"
    error: cannot write the answer to stdout: No space left on device (os error 28)
    ");
}
