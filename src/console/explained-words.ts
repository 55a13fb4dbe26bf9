/**
 * What the server says of a sandbox, in English, German and French; `{}` stands for whatever is there. What is not in it stays
 * English. It comes with the other words (see text.ts).
 */
export const EXPLAINED: readonly (readonly [string, string, string])[] = [
  [
    "see the whole file system of the host",
    "sieht das ganze Dateisystem des Hosts",
    "voit tout le système de fichiers de l’hôte",
  ],
  [
    "start from an empty, read-only root",
    "beginnt mit einer leeren, nur lesbaren Wurzel",
    "part d’une racine vide, en lecture seule",
  ],
  ["umask {}", "umask {}", "umask {}"],
  [
    "run as the server's own user, uid {}, gid {}, no supplementary groups",
    "läuft als Benutzer des Servers, uid {}, gid {}, ohne weitere Gruppen",
    "s’exécute comme l’utilisateur du serveur, uid {}, gid {}, sans autres groupes",
  ],
  ["no capabilities", "keine Capabilities", "aucune capacité"],
  ["working directory {}", "Arbeitsverzeichnis {}", "répertoire de travail {}"],
  ["no new privileges", "keine neuen Privilegien", "pas de nouveaux privilèges"],
  [
    "sockets of every address family",
    "Sockets jeder Adressfamilie",
    "sockets de toutes les familles d’adresses",
  ],
  [
    "sockets only of {}: others fail with EAFNOSUPPORT; no io_uring, which evades that",
    "nur Sockets von {}: andere scheitern mit EAFNOSUPPORT; kein io_uring, das dies umgeht",
    "sockets de {} seulement : les autres échouent avec EAFNOSUPPORT ; pas d’io_uring, qui le contourne",
  ],
  [
    "{} only with the protocols {}",
    "{} nur mit den Protokollen {}",
    "{} seulement avec les protocoles {}",
  ],
  [
    "every system call: no seccomp filter",
    "jeder Systemaufruf: kein seccomp-Filter",
    "tous les appels système : pas de filtre seccomp",
  ],
  [
    "every other system call: no seccomp filter of its own",
    "jeder andere Systemaufruf: kein eigener seccomp-Filter",
    "tous les autres appels système : pas de filtre seccomp à lui",
  ],
  [
    "system calls only through a filter of {} instructions",
    "Systemaufrufe nur durch einen Filter aus {} Anweisungen",
    "appels système seulement à travers un filtre de {} instructions",
  ],
  [
    "the outcome names the calls that the filter denies or logs",
    "das Ergebnis nennt die Aufrufe, die der Filter verweigert oder meldet",
    "le résultat nomme les appels que le filtre refuse ou note",
  ],
  [
    "variables of the server that are not handed on: {}; envs can name them",
    "Variablen des Servers, die nicht weitergegeben werden: {}; envs kann sie nennen",
    "variables du serveur qui ne sont pas transmises : {} ; envs peut les nommer",
  ],
  ["no time limit", "ohne Zeitgrenze", "sans limite de temps"],
  ["every capability of root", "jede Capability von root", "toutes les capacités de root"],
  ["capabilities {}, no others", "Capabilities {}, keine anderen", "capacités {}, aucune autre"],
  ["join the network {}", "tritt dem Netz {} bei", "rejoint le réseau {}"],
  [
    "start in a control group of its own",
    "beginnt in einer eigenen Kontrollgruppe",
    "démarre dans un groupe de contrôle à lui",
  ],
  [
    "no sockets: they fail with EAFNOSUPPORT; no io_uring, which evades that",
    "keine Sockets: sie scheitern mit EAFNOSUPPORT; kein io_uring, das dies umgeht",
    "aucun socket : ils échouent avec EAFNOSUPPORT ; pas d’io_uring, qui le contourne",
  ],
  [
    "run as uid {}, gid {}, no supplementary groups",
    "läuft als uid {}, gid {}, ohne weitere Gruppen",
    "s’exécute avec l’uid {}, le gid {}, sans autres groupes",
  ],
  [
    "run as uid {}, gid {}, groups {}",
    "läuft als uid {}, gid {}, Gruppen {}",
    "s’exécute avec l’uid {}, le gid {}, les groupes {}",
  ],
  ["told to end after {} s", "nach {} s zum Ende aufgefordert", "prié de finir après {} s"],
  ["make the directory {}", "legt das Verzeichnis {} an", "crée le répertoire {}"],
  ["hold a lock on {}", "hält eine Sperre auf {}", "tient un verrou sur {}"],
  ["killed after {} s", "nach {} s beendet", "tué après {} s"],
  ["has its own {}", "hat Eigenes: {}", "a en propre : {}"],
  ["host name {}", "Hostname {}", "nom d’hôte {}"],
  ["link {} to {}", "Verweis {} auf {}", "lien {} vers {}"],
  [
    "mount {} as an empty tmpfs of at most {} ({})",
    "hängt {} ein: ein leeres tmpfs von höchstens {} ({})",
    "monte {} : un tmpfs vide d’au plus {} ({})",
  ],
  [
    "mount {} as the proc of its own processes",
    "hängt {} ein: das proc der eigenen Prozesse",
    "monte {} : le proc de ses propres processus",
  ],
  [
    "mount {} as pseudo terminals of its own",
    "hängt {} ein: eigene Pseudoterminals",
    "monte {} : des pseudo-terminaux à lui",
  ],
  [
    "mount {} from {}, if it is there, ({})",
    "hängt {} ein, von {}, falls vorhanden ({})",
    "monte {} depuis {}, s’il existe ({})",
  ],
  ["mount {} from {} ({})", "hängt {} ein, von {} ({})", "monte {} depuis {} ({})"],
  ["make {} read-only, {}", "macht {} nur lesbar, {}", "met {} en lecture seule, {}"],
  ["make {} read-only", "macht {} nur lesbar", "met {} en lecture seule"],
  ["put a file with {} at {}", "legt eine Datei mit {} nach {}", "met un fichier avec {} dans {}"],
  [
    "at most {} bytes of a core file",
    "höchstens {} Bytes einer Core-Datei",
    "au plus {} octets d’un fichier core",
  ],
  ["at most {} CPU seconds", "höchstens {} Sekunden CPU", "au plus {} secondes de CPU"],
  [
    "at most {} processes of the user",
    "höchstens {} Prozesse des Benutzers",
    "au plus {} processus de l’utilisateur",
  ],
  ["at most {} open files", "höchstens {} offene Dateien", "au plus {} fichiers ouverts"],
  [
    "at most {} bytes of locked memory",
    "höchstens {} Bytes gesperrten Speichers",
    "au plus {} octets de mémoire verrouillée",
  ],
  [
    "at most {} bytes of address space",
    "höchstens {} Bytes Adressraum",
    "au plus {} octets d’espace d’adressage",
  ],
  [
    "sees all files of the host",
    "sieht alle Dateien des Hosts",
    "voit tous les fichiers de l’hôte",
  ],
  [
    "may use every system call",
    "darf jeden Systemaufruf verwenden",
    "peut utiliser tous les appels système",
  ],
  ["uses the host's network", "verwendet das Netz des Hosts", "utilise le réseau de l’hôte"],
  ["sees the host's processes", "sieht die Prozesse des Hosts", "voit les processus de l’hôte"],
  [
    "has no resource limits",
    "hat keine Grenzen für Ressourcen",
    "n’a pas de limites de ressources",
  ],
  [
    "shares the host's user ids",
    "teilt die Benutzerkennungen des Hosts",
    "partage les identifiants d’utilisateur de l’hôte",
  ],
  [
    "shares the host's System V IPC and message queues",
    "teilt System-V-IPC und Nachrichtenschlangen des Hosts",
    "partage l’IPC System V et les files de messages de l’hôte",
  ],
  ["shares the host's name", "teilt den Namen des Hosts", "partage le nom de l’hôte"],
];
