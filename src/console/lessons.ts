/**
 * What config/learn.json says, in German and French, by what it says in English: an exercise of somebody else's under the same name keeps
 * its own words.
 */
export const LESSONS: Readonly<Record<string, readonly [string, string]>> = {
  "What a sandbox does: the same commands with nothing around them, and with more and more": [
    "Was eine Sandbox tut: dieselben Befehle mit nichts um sie herum, und mit immer mehr",
    "Ce que fait un bac à sable : les mêmes commandes sans rien autour, puis de plus en plus",
  ],
  "nothing: an ordinary process of user nobody": [
    "nichts: ein gewöhnlicher Prozess des Benutzers nobody",
    "rien : un processus ordinaire de l’utilisateur nobody",
  ],
  "the files of the host, less the calls that no such command needs": [
    "die Dateien des Hosts, ohne die Aufrufe, die kein solcher Befehl braucht",
    "les fichiers de l’hôte, sans les appels dont une telle commande n’a pas besoin",
  ],
  "namespaces: files, processes and a network of its own": [
    "Namensräume: eigene Dateien, eigene Prozesse, ein eigenes Netz",
    "espaces de noms : ses propres fichiers, processus et réseau",
  ],
  "all of that, a filter of system calls, and limits": [
    "all das, dazu ein Filter für Systemaufrufe, und Grenzen",
    "tout cela, plus un filtre d’appels système et des limites",
  ],
  "Who am I? Only a name and two numbers: what they are worth depends on the capabilities beside them, and root without any is an ordinary user.":
    [
      "Wer bin ich? Nur ein Name und zwei Zahlen: was sie wert sind, sagen die Capabilities daneben, und root ohne sie ist ein gewöhnlicher Benutzer.",
      "Qui suis-je ? Un nom et deux nombres : leur valeur dépend des capacités à côté, et root sans aucune est un utilisateur ordinaire.",
    ],
  "What do I see? A sandbox is handed the files that it needs: the others are not forbidden there, they do not exist.":
    [
      "Was sehe ich? Eine Sandbox bekommt die Dateien, die sie braucht: die anderen sind dort nicht verboten, es gibt sie nicht.",
      "Que vois-je ? Un bac à sable reçoit les fichiers qu’il lui faut : les autres n’y sont pas interdits, ils n’existent pas.",
    ],
  "Where can I write? A read-only mount stands above all permissions, and a private /tmp is gone with the task.":
    [
      "Wo kann ich schreiben? Eine nur lesbare Einhängung steht über allen Rechten, und ein eigenes /tmp vergeht mit der Aufgabe.",
      "Où puis-je écrire ? Un montage en lecture seule l’emporte sur toute permission, et un /tmp privé disparaît avec la tâche.",
    ],
  "Can I reach the network? Without the namespace of the host there is only a loopback of its own, and nobody at the other end.":
    [
      "Erreiche ich das Netz? Ohne den Namensraum des Hosts gibt es nur ein eigenes Loopback, und niemanden am anderen Ende.",
      "Puis-je atteindre le réseau ? Sans l’espace de noms de l’hôte il n’y a qu’une boucle locale à soi, et personne au bout.",
    ],
  "Can I gain root? Programs such as su and mount are root for whoever starts them: with no new privileges they are not.":
    [
      "Kann ich root werden? Programme wie su und mount sind root für jeden, der sie startet: ohne neue Privilegien sind sie es nicht.",
      "Puis-je devenir root ? Des programmes comme su et mount sont root pour qui les lance : sans nouveaux privilèges, ils ne le sont pas.",
    ],
  "What if I fork without end? A limit of processes keeps the rest of the machine alive: here 120 are asked for.":
    [
      "Und wenn ich endlos Prozesse starte? Eine Grenze hält den Rest der Maschine am Leben: hier werden 120 verlangt.",
      "Et si je crée des processus sans fin ? Une limite garde le reste de la machine en vie : ici, 120 sont demandés.",
    ],
  "What if I eat all memory? With a limit the kernel says no to one program, and not to all: here 200 MB are asked for.":
    [
      "Und wenn ich allen Speicher nehme? Mit einer Grenze sagt der Kernel zu einem Programm nein, und nicht zu allen: hier werden 200 MB verlangt.",
      "Et si je prends toute la mémoire ? Avec une limite, le noyau refuse à un seul programme et non à tous : ici, 200 Mo sont demandés.",
    ],
  "Can I see the others? With processes of its own it sees itself, and cannot even name anybody else.":
    [
      "Sehe ich die anderen? Mit eigenen Prozessen sieht es sich selbst, und kann sonst niemanden auch nur benennen.",
      "Puis-je voir les autres ? Avec ses propres processus, il se voit lui-même et ne peut même nommer personne d’autre.",
    ],
  "Can I change the clock? It is one for the whole machine, and takes a capability that no ordinary command has.":
    [
      "Kann ich die Uhr stellen? Sie ist eine für die ganze Maschine, und braucht eine Capability, die kein gewöhnlicher Befehl hat.",
      "Puis-je changer l’heure ? L’horloge est une pour toute la machine, et demande une capacité qu’aucune commande ordinaire n’a.",
    ],
  "Can I mount? New mounts change what files others see, so it takes CAP_SYS_ADMIN; a filter does not even let it ask.":
    [
      "Kann ich einhängen? Neue Einhängungen ändern, welche Dateien andere sehen, und brauchen CAP_SYS_ADMIN; ein Filter lässt nicht einmal fragen.",
      "Puis-je monter ? Un montage change les fichiers que voient les autres et demande CAP_SYS_ADMIN ; un filtre empêche même de demander.",
    ],
  "Can I make a sandbox within? Namespaces within are a way to more of the kernel: a filter closes it.":
    [
      "Kann ich darin eine Sandbox machen? Namensräume darin sind ein Weg zu mehr vom Kernel: ein Filter schließt ihn.",
      "Puis-je y créer un bac à sable ? Des espaces de noms à l’intérieur ouvrent davantage du noyau : un filtre ferme ce chemin.",
    ],
  "Can I rename the machine? With a host name of its own, nobody else notices what it is called.": [
    "Kann ich die Maschine umbenennen? Mit einem eigenen Hostnamen merkt sonst niemand, wie sie heißt.",
    "Puis-je renommer la machine ? Avec un nom d’hôte à soi, personne d’autre ne remarque comment elle s’appelle.",
  ],
  "What do I inherit? The environment of the server often has secrets: a clean one has what the config names.":
    [
      "Was erbe ich? In der Umgebung des Servers stehen oft Geheimnisse: in einer sauberen steht, was die Konfiguration nennt.",
      "De quoi est-ce que j’hérite ? L’environnement du serveur a souvent des secrets : un environnement propre a ce que nomme la configuration.",
    ],
  "Can I look into others? A debugger reads every secret of a process: it takes the same user at least, and no filter against it.":
    [
      "Kann ich in andere hineinsehen? Ein Debugger liest jedes Geheimnis eines Prozesses: er braucht mindestens denselben Benutzer, und keinen Filter dagegen.",
      "Puis-je regarder dans les autres ? Un débogueur lit chaque secret d’un processus : il lui faut au moins le même utilisateur, et aucun filtre contre lui.",
    ],
};
