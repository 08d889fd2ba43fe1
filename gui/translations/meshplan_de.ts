<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de">
<context>
    <name>ComparedStep</name>
    <message>
        <source>run %1: measured</source>
        <translation>Lauf %1: gemessen</translation>
    </message>
    <message>
        <source>run %1: predicted</source>
        <translation>Lauf %1: vorhergesagt</translation>
    </message>
</context>
<context>
    <name>Evidence</name>
    <message>
        <source>%1, ± %2</source>
        <translation>%1, ± %2</translation>
    </message>
</context>
<context>
    <name>QObject</name>
    <message>
        <source>computes %1, exposed communication %2, bubble %3, optimizer %4</source>
        <translation>rechnet %1, unverdeckte Kommunikation %2, Lücken %3, Optimierer %4</translation>
    </message>
    <message>
        <source> (recomputation %1)</source>
        <translation> (Neuberechnung %1)</translation>
    </message>
    <message>
        <source>%1 of %2 (%3)</source>
        <translation>%1 von %2 (%3)</translation>
    </message>
    <message>
        <source>memory binds: %1</source>
        <translation>der Speicher begrenzt: %1</translation>
    </message>
    <message>
        <source>memory does not bind: %1</source>
        <translation>der Speicher begrenzt nicht: %1</translation>
    </message>
    <message>
        <source>no baseline fits</source>
        <translation>kein üblicher Plan passt</translation>
    </message>
    <message>
        <source>%1 × as fast as %2 (%3)</source>
        <translation>%1-mal so schnell wie %2 (%3)</translation>
    </message>
</context>
<context>
    <name>SpanKind</name>
    <message>
        <source>forward</source>
        <translation>vorwärts</translation>
    </message>
    <message>
        <source>recompute</source>
        <translation>Neuberechnung</translation>
    </message>
    <message>
        <source>backward</source>
        <translation>rückwärts</translation>
    </message>
    <message>
        <source>update</source>
        <translation>Aktualisierung</translation>
    </message>
    <message>
        <source>collective</source>
        <translation>Kollektiv</translation>
    </message>
    <message>
        <source>send/receive</source>
        <translation>Senden/Empfangen</translation>
    </message>
    <message>
        <source>bubble</source>
        <translation>Lücke</translation>
    </message>
</context>
<context>
    <name>StepDifference</name>
    <message>
        <source>compute</source>
        <translation>Rechnen</translation>
    </message>
    <message>
        <source>optimizer</source>
        <translation>Optimierer</translation>
    </message>
    <message>
        <source>exposed communication</source>
        <translation>unverdeckte Kommunikation</translation>
    </message>
    <message>
        <source>idle</source>
        <translation>untätig</translation>
    </message>
    <message>
        <source>beyond its end</source>
        <translation>nach seinem Ende</translation>
    </message>
</context>
<context>
    <name>Term</name>
    <message>
        <source>weights</source>
        <translation>Gewichte</translation>
    </message>
    <message>
        <source>gradients</source>
        <translation>Gradienten</translation>
    </message>
    <message>
        <source>optimizer</source>
        <translation>Optimierer</translation>
    </message>
    <message>
        <source>master weights</source>
        <translation>Hauptgewichte</translation>
    </message>
    <message>
        <source>activations</source>
        <translation>Aktivierungen</translation>
    </message>
    <message>
        <source>communication</source>
        <translation>Kommunikation</translation>
    </message>
    <message>
        <source>workspace</source>
        <translation>Zwischenwerte</translation>
    </message>
    <message>
        <source>reserve</source>
        <translation>Reserve</translation>
    </message>
    <message>
        <source>forward</source>
        <translation>vorwärts</translation>
    </message>
    <message>
        <source>recompute</source>
        <translation>Neuberechnung</translation>
    </message>
    <message>
        <source>backward</source>
        <translation>rückwärts</translation>
    </message>
    <message>
        <source>update</source>
        <translation>Aktualisierung</translation>
    </message>
    <message>
        <source>compute</source>
        <translation>Rechnen</translation>
    </message>
    <message>
        <source>tensor</source>
        <translation>Tensor</translation>
    </message>
    <message>
        <source>expert</source>
        <translation>Experten</translation>
    </message>
    <message>
        <source>data</source>
        <translation>Daten</translation>
    </message>
    <message>
        <source>send</source>
        <translation>Senden</translation>
    </message>
    <message>
        <source>receive</source>
        <translation>Empfangen</translation>
    </message>
    <message>
        <source>measured</source>
        <translation>gemessen</translation>
    </message>
    <message>
        <source>interpolated</source>
        <translation>interpoliert</translation>
    </message>
    <message>
        <source>analytic</source>
        <translation>berechnet</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
    <message>
        <source>selective</source>
        <translation>teilweise</translation>
    </message>
    <message>
        <source>full</source>
        <translation>ganz</translation>
    </message>
</context>
<context>
    <name>Timeline</name>
    <message>
        <source>rank %1</source>
        <translation>Rang %1</translation>
    </message>
    <message>
        <source>ranks %1</source>
        <translation>Ränge %1</translation>
    </message>
    <message>
        <source>%1 · %2 · step %3</source>
        <translation>%1 · %2 · Schritt %3</translation>
    </message>
</context>
<context>
    <name>meshplan::gui</name>
    <message>
        <source>%1 to %2</source>
        <translation>%1 bis %2</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1: not there</source>
        <translation>&lt;br&gt;%1: nicht vorhanden</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1: %2 of the step</source>
        <translation>&lt;br&gt;%1: %2 des Schritts</translation>
    </message>
    <message>
        <source> exposed, %1 beside computation</source>
        <translation> unverdeckt, %1 neben dem Rechnen</translation>
    </message>
    <message>
        <source>; %1 on the %2 of %3 ranks that run it</source>
        <translation>; %1 auf den %2 von %3 Rängen, die es ausführen</translation>
    </message>
    <message>
        <source>; %1 runs</source>
        <translation>; %1 Ausführungen</translation>
    </message>
    <message>
        <source>; predicted: %1</source>
        <translation>; vorhergesagt: %1</translation>
    </message>
    <message>
        <source>&lt;b&gt;Both steps take %1.&lt;/b&gt;</source>
        <translation>&lt;b&gt;Beide Schritte dauern %1.&lt;/b&gt;</translation>
    </message>
    <message>
        <source>&lt;b&gt;The second step takes %1 instead of %2&lt;/b&gt; (%3)</source>
        <translation>&lt;b&gt;Der zweite Schritt dauert %1 statt %2&lt;/b&gt; (%3)</translation>
    </message>
    <message>
        <source>first</source>
        <translation>erster</translation>
    </message>
    <message>
        <source>second</source>
        <translation>zweiter</translation>
    </message>
    <message>
        <source>difference</source>
        <translation>Unterschied</translation>
    </message>
    <message>
        <source>= step</source>
        <translation>= Schritt</translation>
    </message>
    <message>
        <source>hidden communication</source>
        <translation>verdeckte Kommunikation</translation>
    </message>
    <message>
        <source>tensor: %1</source>
        <translation>Tensor: %1</translation>
    </message>
    <message>
        <source>experts: %1</source>
        <translation>Experten: %1</translation>
    </message>
    <message>
        <source>%1, from %2 to %3</source>
        <translation>%1, von %2 bis %3</translation>
    </message>
    <message>
        <source> of micro-batch %1</source>
        <translation> von Mikro-Batch %1</translation>
    </message>
    <message>
        <source>prediction: %1</source>
        <translation>Vorhersage: %1</translation>
    </message>
    <message>
        <source>measured; predicted %1 (%2)</source>
        <translation>gemessen; vorhergesagt %1 (%2)</translation>
    </message>
    <message>
        <source>%1 in the other step, %2 here</source>
        <translation>%1 im anderen Schritt, %2 hier</translation>
    </message>
    <message>
        <source>Stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>%1 · measured</source>
        <translation>%1 · gemessen</translation>
    </message>
    <message>
        <source>%1 · predicted</source>
        <translation>%1 · vorhergesagt</translation>
    </message>
    <message>
        <source>idle</source>
        <translation>untätig</translation>
    </message>
    <message>
        <source>beyond the end of the step</source>
        <translation>nach dem Ende des Schritts</translation>
    </message>
    <message>
        <source>tensor</source>
        <translation>Tensor</translation>
    </message>
    <message>
        <source>pipeline</source>
        <translation>Pipeline</translation>
    </message>
    <message>
        <source>experts</source>
        <translation>Experten</translation>
    </message>
    <message>
        <source>micro-batch</source>
        <translation>Mikro-Batch</translation>
    </message>
    <message>
        <source>recompute</source>
        <translation>Neuberechnung</translation>
    </message>
    <message>
        <source>ZeRO</source>
        <translation>ZeRO</translation>
    </message>
    <message>
        <source>sequence</source>
        <translation>Sequenz</translation>
    </message>
    <message>
        <source>schedule</source>
        <translation>Ablauf</translation>
    </message>
    <message>
        <source>behind by</source>
        <translation>im Rückstand um</translation>
    </message>
    <message>
        <source>forward and backward</source>
        <translation>vorwärts und rückwärts</translation>
    </message>
    <message>
        <source>recomputation</source>
        <translation>Neuberechnung</translation>
    </message>
    <message>
        <source>optimizer</source>
        <translation>Optimierer</translation>
    </message>
    <message>
        <source>exposed communication</source>
        <translation>unverdeckte Kommunikation</translation>
    </message>
    <message>
        <source>Difference</source>
        <translation>Unterschied</translation>
    </message>
    <message>
        <source>second is behind</source>
        <translation>der zweite liegt zurück</translation>
    </message>
    <message>
        <source>at equal work</source>
        <translation>bei gleicher Arbeit</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1 behind&lt;/b&gt; the first step at %2 of the second</source>
        <translation>&lt;b&gt;%1 hinter&lt;/b&gt; dem ersten Schritt bei %2 des zweiten</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1 ahead&lt;/b&gt; of the first step at %2 of the second</source>
        <translation>&lt;b&gt;%1 vor&lt;/b&gt; dem ersten Schritt bei %2 des zweiten</translation>
    </message>
    <message>
        <source>&lt;br&gt;With the same share of its work done it has spent</source>
        <translation>&lt;br&gt;Bei gleichem Anteil erledigter Arbeit hat er verbraucht</translation>
    </message>
    <message>
        <source>peak %1</source>
        <translation>Spitze %1</translation>
    </message>
    <message>
        <source>limit %1</source>
        <translation>Grenze %1</translation>
    </message>
    <message>
        <source>no memory curve was recorded</source>
        <translation>kein Speicherverlauf wurde aufgezeichnet</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Speicher</translation>
    </message>
    <message>
        <source>peak at %1</source>
        <translation>Spitze bei %1</translation>
    </message>
    <message>
        <source>W  S</source>
        <translation>W  S</translation>
    </message>
    <message>
        <source>closer, farther (also Ctrl+wheel)</source>
        <translation>näher, ferner (auch Strg+Mausrad)</translation>
    </message>
    <message>
        <source>A  D</source>
        <translation>A  D</translation>
    </message>
    <message>
        <source>earlier, later (also Shift+drag)</source>
        <translation>früher, später (auch Umschalt+Ziehen)</translation>
    </message>
    <message>
        <source>drag</source>
        <translation>Ziehen</translation>
    </message>
    <message>
        <source>select a time range</source>
        <translation>einen Zeitraum wählen</translation>
    </message>
    <message>
        <source>click</source>
        <translation>Klicken</translation>
    </message>
    <message>
        <source>select the operator and its ranks</source>
        <translation>den Operator und seine Ränge wählen</translation>
    </message>
    <message>
        <source>F</source>
        <translation>F</translation>
    </message>
    <message>
        <source>fit the selection, or everything</source>
        <translation>die Auswahl einpassen, sonst alles</translation>
    </message>
    <message>
        <source>M</source>
        <translation>M</translation>
    </message>
    <message>
        <source>mark the selection; Shift+M forgets marks</source>
        <translation>die Auswahl markieren; Umschalt+M vergisst Marken</translation>
    </message>
    <message>
        <source>[  ]</source>
        <translation>[  ]</translation>
    </message>
    <message>
        <source>previous, next run of the selected operator</source>
        <translation>vorige, nächste Ausführung des gewählten Operators</translation>
    </message>
    <message>
        <source>B</source>
        <translation>B</translation>
    </message>
    <message>
        <source>next bubble; Shift+B the one before</source>
        <translation>nächste Lücke; Umschalt+B die vorige</translation>
    </message>
    <message>
        <source>C</source>
        <translation>C</translation>
    </message>
    <message>
        <source>critical path</source>
        <translation>kritischer Pfad</translation>
    </message>
    <message>
        <source>L</source>
        <translation>L</translation>
    </message>
    <message>
        <source>lines from send to receive</source>
        <translation>Linien vom Senden zum Empfangen</translation>
    </message>
    <message>
        <source>Esc</source>
        <translation>Esc</translation>
    </message>
    <message>
        <source>clear the selection</source>
        <translation>die Auswahl aufheben</translation>
    </message>
    <message>
        <source>?</source>
        <translation>?</translation>
    </message>
    <message>
        <source>this help</source>
        <translation>diese Hilfe</translation>
    </message>
    <message>
        <source>Pareto front</source>
        <translation>Pareto-Front</translation>
    </message>
    <message>
        <source>Memory by category</source>
        <translation>Speicher nach Art</translation>
    </message>
    <message>
        <source>R</source>
        <translation>R</translation>
    </message>
    <message>
        <source>the last run, measured below predicted, or the plan</source>
        <translation>der letzte Lauf, gemessen unter vorhergesagt, oder der Plan</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::CommandPalette</name>
    <message>
        <source>Commands</source>
        <translation>Befehle</translation>
    </message>
    <message>
        <source>Type what you want to do</source>
        <translation>Schreiben Sie, was Sie tun möchten</translation>
    </message>
    <message>
        <source>Name of a command</source>
        <translation>Name eines Befehls</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::CompareView</name>
    <message>
        <source>Figures of both steps</source>
        <translation>Zahlen beider Schritte</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>Lösen</translation>
    </message>
    <message>
        <source>Swap</source>
        <translation>Tauschen</translation>
    </message>
    <message>
        <source>Pin a plan (Ctrl+B), then show another one: they stand here side by side. So do prediction and measurement of a plan that ran.</source>
        <translation>Heften Sie einen Plan an (Strg+B) und zeigen Sie dann einen anderen: Hier stehen sie nebeneinander. Ebenso Vorhersage und Messung eines Plans, der lief.</translation>
    </message>
    <message>
        <source>Compare</source>
        <translation>Vergleich</translation>
    </message>
    <message>
        <source>First step</source>
        <translation>Erster Schritt</translation>
    </message>
    <message>
        <source>Second step</source>
        <translation>Zweiter Schritt</translation>
    </message>
    <message>
        <source>The second step first</source>
        <translation>Den zweiten Schritt zuerst</translation>
    </message>
    <message>
        <source>Pin the shown plan</source>
        <translation>Gezeigten Plan anheften</translation>
    </message>
    <message>
        <source>shown: %1</source>
        <translation>gezeigt: %1</translation>
    </message>
    <message>
        <source>pinned %1: %2</source>
        <translation>angeheftet %1: %2</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::ComparisonTable</name>
    <message>
        <source>yes</source>
        <translation>ja</translation>
    </message>
    <message>
        <source>step</source>
        <translation>Schritt</translation>
    </message>
    <message>
        <source>  compute</source>
        <translation>  Rechnen</translation>
    </message>
    <message>
        <source>    of it recomputed</source>
        <translation>    davon neu berechnet</translation>
    </message>
    <message>
        <source>  optimizer</source>
        <translation>  Optimierer</translation>
    </message>
    <message>
        <source>  exposed communication</source>
        <translation>  unverdeckte Kommunikation</translation>
    </message>
    <message>
        <source>  bubble</source>
        <translation>  Lücke</translation>
    </message>
    <message>
        <source>all communication</source>
        <translation>alle Kommunikation</translation>
    </message>
    <message>
        <source>samples/s</source>
        <translation>Beispiele/s</translation>
    </message>
    <message>
        <source>MFU</source>
        <translation>MFU</translation>
    </message>
    <message>
        <source>price of a step</source>
        <translation>Preis eines Schritts</translation>
    </message>
    <message>
        <source>memory of the fullest rank</source>
        <translation>Speicher des vollsten Rangs</translation>
    </message>
    <message>
        <source>strategy</source>
        <translation>Strategie</translation>
    </message>
    <message>
        <source>cluster</source>
        <translation>Cluster</translation>
    </message>
    <message>
        <source>fits</source>
        <translation>passt</translation>
    </message>
    <message>
        <source>first</source>
        <translation>erster</translation>
    </message>
    <message>
        <source>second</source>
        <translation>zweiter</translation>
    </message>
    <message>
        <source>change</source>
        <translation>Änderung</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::DifferenceLane</name>
    <message>
        <source>Difference of both steps over time</source>
        <translation>Unterschied beider Schritte im Verlauf</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::GraphView</name>
    <message>
        <source>Graph of the model</source>
        <translation>Graph des Modells</translation>
    </message>
    <message>
        <source>The graph stands here once a model is open.</source>
        <translation>Hier steht der Graph, sobald ein Modell geöffnet ist.</translation>
    </message>
    <message>
        <source>%1 nodes are too many to draw at once: collapse some modules.</source>
        <translation>%1 Knoten sind zu viele für ein Bild: Klappen Sie einige Module zu.</translation>
    </message>
    <message>
        <source>%1 a sample</source>
        <translation>%1 je Beispiel</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::KeysView</name>
    <message>
        <source>Keys</source>
        <translation>Tasten</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>Taste</translation>
    </message>
    <message>
        <source>What it does</source>
        <translation>Wirkung</translation>
    </message>
    <message>
        <source>Everywhere</source>
        <translation>Überall</translation>
    </message>
    <message>
        <source>Tab, Shift+Tab</source>
        <translation>Tab, Umschalt+Tab</translation>
    </message>
    <message>
        <source>next, previous control</source>
        <translation>nächstes, voriges Bedienelement</translation>
    </message>
    <message>
        <source>Alt</source>
        <translation>Alt</translation>
    </message>
    <message>
        <source>menus, by their underlined letters</source>
        <translation>Menüs, nach ihren unterstrichenen Buchstaben</translation>
    </message>
    <message>
        <source>Space, Enter</source>
        <translation>Leertaste, Eingabe</translation>
    </message>
    <message>
        <source>press a button, show a plan</source>
        <translation>einen Knopf drücken, einen Plan zeigen</translation>
    </message>
    <message>
        <source>In the timeline</source>
        <translation>Im Zeitverlauf</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::LocalRun</name>
    <message>
        <source>%1 does not start</source>
        <translation>%1 startet nicht</translation>
    </message>
    <message>
        <source>%1 cannot be written</source>
        <translation>%1 lässt sich nicht schreiben</translation>
    </message>
    <message>
        <source>the run ended with %1</source>
        <translation>der Lauf endete mit %1</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::MainWindow</name>
    <message>
        <source>Meshplan</source>
        <translation>Meshplan</translation>
    </message>
    <message>
        <source>Press an example, or open a model.</source>
        <translation>Wählen Sie ein Beispiel oder öffnen Sie ein Modell.</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Plan</source>
        <translation>Plan</translation>
    </message>
    <message>
        <source>Timeline</source>
        <translation>Zeitverlauf</translation>
    </message>
    <message>
        <source>Compare</source>
        <translation>Vergleich</translation>
    </message>
    <message>
        <source>What if</source>
        <translation>Was wäre, wenn</translation>
    </message>
    <message>
        <source>Run on this machine</source>
        <translation>Lauf auf diesem Rechner</translation>
    </message>
    <message>
        <source>Tools</source>
        <translation>Werkzeuge</translation>
    </message>
    <message>
        <source>Progress of the search</source>
        <translation>Fortschritt der Suche</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>Suchen</translation>
    </message>
    <message>
        <source>Search for the best plan (F5)</source>
        <translation>Den besten Plan suchen (F5)</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>End the search with the best plan so far</source>
        <translation>Die Suche mit dem bisher besten Plan beenden</translation>
    </message>
    <message>
        <source>Change …</source>
        <translation>Ändern …</translation>
    </message>
    <message>
        <source>Another model, cluster or batch (Ctrl+N)</source>
        <translation>Anderes Modell, Cluster oder Batch (Strg+N)</translation>
    </message>
    <message>
        <source>&amp;Edit</source>
        <translation>&amp;Bearbeiten</translation>
    </message>
    <message>
        <source>Copy this table as &amp;Markdown</source>
        <translation>Tabelle als &amp;Markdown kopieren</translation>
    </message>
    <message>
        <source>Copy this table as &amp;CSV</source>
        <translation>Tabelle als &amp;CSV kopieren</translation>
    </message>
    <message>
        <source>&amp;Plan</source>
        <translation>&amp;Plan</translation>
    </message>
    <message>
        <source>&amp;Pin to compare</source>
        <translation>Zum Vergleich &amp;anheften</translation>
    </message>
    <message>
        <source>&amp;Help</source>
        <translation>&amp;Hilfe</translation>
    </message>
    <message>
        <source>&amp;About Meshplan</source>
        <translation>Ü&amp;ber Meshplan</translation>
    </message>
    <message>
        <source>Meshplan %1 plans, simulates and runs the training of neural networks over many devices.</source>
        <translation>Meshplan %1 plant, simuliert und führt das Training neuronaler Netze auf vielen Geräten aus.</translation>
    </message>
    <message>
        <source>&amp;File</source>
        <translation>&amp;Datei</translation>
    </message>
    <message>
        <source>&amp;Plan a model …</source>
        <translation>Modell &amp;planen …</translation>
    </message>
    <message>
        <source>&amp;Open …</source>
        <translation>Ö&amp;ffnen …</translation>
    </message>
    <message>
        <source>&amp;Save the plan …</source>
        <translation>Plan &amp;speichern …</translation>
    </message>
    <message>
        <source>Save the sess&amp;ion as …</source>
        <translation>S&amp;itzung speichern unter …</translation>
    </message>
    <message>
        <source>&amp;Export this view …</source>
        <translation>Ansicht &amp;exportieren …</translation>
    </message>
    <message>
        <source>Export a &amp;table</source>
        <translation>&amp;Tabelle exportieren</translation>
    </message>
    <message>
        <source>&amp;Quit</source>
        <translation>&amp;Beenden</translation>
    </message>
    <message>
        <source>&amp;View</source>
        <translation>&amp;Ansicht</translation>
    </message>
    <message>
        <source>&amp;Theme</source>
        <translation>&amp;Farben</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Wie das System</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1&lt;/b&gt; (%2 parameters) on &lt;b&gt;%3&lt;/b&gt;, global batch %4</source>
        <translation>&lt;b&gt;%1&lt;/b&gt; (%2 Parameter) auf &lt;b&gt;%3&lt;/b&gt;, globaler Batch %4</translation>
    </message>
    <message>
        <source>%1 – Meshplan</source>
        <translation>%1 – Meshplan</translation>
    </message>
    <message>
        <source>%1 candidates, %2 of %3 simulated</source>
        <translation>%1 Kandidaten, %2 von %3 simuliert</translation>
    </message>
    <message>
        <source>%1 candidates</source>
        <translation>%1 Kandidaten</translation>
    </message>
    <message>
        <source>, best so far %1</source>
        <translation>, bisher bester %1</translation>
    </message>
    <message>
        <source>searched %1 candidates, simulated %2</source>
        <translation>%1 Kandidaten durchsucht, %2 simuliert</translation>
    </message>
    <message>
        <source>Timeline &lt;b&gt;%1&lt;/b&gt;</source>
        <translation>Zeitverlauf &lt;b&gt;%1&lt;/b&gt;</translation>
    </message>
    <message>
        <source>Open a file</source>
        <translation>Datei öffnen</translation>
    </message>
    <message>
        <source>Models, plans, clusters, sessions, timelines and profiles (*.onnx *.json *.json.gz *.txt *.meshplan *.pftrace *.db);;All files (*)</source>
        <translation>Modelle, Pläne, Cluster, Sitzungen, Zeitverläufe und Profile (*.onnx *.json *.json.gz *.txt *.meshplan *.pftrace *.db);;Alle Dateien (*)</translation>
    </message>
    <message>
        <source>Save the plan</source>
        <translation>Plan speichern</translation>
    </message>
    <message>
        <source>Plans (*.json)</source>
        <translation>Pläne (*.json)</translation>
    </message>
    <message>
        <source>%1 cannot be written: %2</source>
        <translation>%1 lässt sich nicht schreiben: %2</translation>
    </message>
    <message>
        <source>check the folder and the free space</source>
        <translation>prüfen Sie den Ordner und den freien Platz</translation>
    </message>
    <message>
        <source>Save the session as</source>
        <translation>Sitzung speichern unter</translation>
    </message>
    <message>
        <source>Sessions (*.meshplan)</source>
        <translation>Sitzungen (*.meshplan)</translation>
    </message>
    <message>
        <source>Export this view</source>
        <translation>Ansicht exportieren</translation>
    </message>
    <message>
        <source>Pictures (*.png *.svg *.pdf)</source>
        <translation>Bilder (*.png *.svg *.pdf)</translation>
    </message>
    <message>
        <source>%1 cannot be written</source>
        <translation>%1 lässt sich nicht schreiben</translation>
    </message>
    <message>
        <source>end it in .png, .svg or .pdf</source>
        <translation>der Name muss auf .png, .svg oder .pdf enden</translation>
    </message>
    <message>
        <source>No table is on this page</source>
        <translation>Auf dieser Seite ist keine Tabelle</translation>
    </message>
    <message>
        <source>Export the table “%1”</source>
        <translation>Tabelle „%1“ exportieren</translation>
    </message>
    <message>
        <source>Tables (*.csv *.md)</source>
        <translation>Tabellen (*.csv *.md)</translation>
    </message>
    <message>
        <source>No table is on this page.</source>
        <translation>Auf dieser Seite ist keine Tabelle.</translation>
    </message>
    <message>
        <source>The table is on the clipboard.</source>
        <translation>Die Tabelle ist in der Zwischenablage.</translation>
    </message>
    <message>
        <source>&amp;Commands …</source>
        <translation>&amp;Befehle …</translation>
    </message>
    <message>
        <source>&amp;Keys</source>
        <translation>&amp;Tasten</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::MemoryTable</name>
    <message>
        <source>stage</source>
        <translation>Stufe</translation>
    </message>
    <message>
        <source>peak</source>
        <translation>Spitze</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::MemoryView</name>
    <message>
        <source>Memory of each stage</source>
        <translation>Speicher jeder Stufe</translation>
    </message>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>Memory by category, once a model is open.</source>
        <translation>Speicher nach Art, sobald ein Modell geöffnet ist.</translation>
    </message>
    <message>
        <source>limit %1</source>
        <translation>Grenze %1</translation>
    </message>
    <message>
        <source>&lt;b&gt;stage %1&lt;/b&gt;, peak %2 at %3</source>
        <translation>&lt;b&gt;Stufe %1&lt;/b&gt;, Spitze %2 bei %3</translation>
    </message>
    <message>
        <source>limit %1, far to the right</source>
        <translation>Grenze %1, weit rechts</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::MeshCells</name>
    <message>
        <source>stage %1: %2</source>
        <translation>Stufe %1: %2</translation>
    </message>
    <message>
        <source>&lt;b&gt;rank %1&lt;/b&gt;, %2 on %3&lt;br&gt;%4&lt;br&gt;data %5, tensor %6</source>
        <translation>&lt;b&gt;Rang %1&lt;/b&gt;, %2 auf %3&lt;br&gt;%4&lt;br&gt;Daten %5, Tensor %6</translation>
    </message>
    <message>
        <source>, expert %1</source>
        <translation>, Experte %1</translation>
    </message>
    <message>
        <source>&lt;br&gt;computes %1, idle %2&lt;br&gt;memory %3 (%4 of the limit)</source>
        <translation>&lt;br&gt;rechnet %1, untätig %2&lt;br&gt;Speicher %3 (%4 der Grenze)</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1: sends %2 a step among %3 ranks, over %4</source>
        <translation>&lt;br&gt;%1: sendet %2 je Schritt unter %3 Rängen, über %4</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::MeshMatrix</name>
    <message>
        <source>Ranks of the mesh</source>
        <translation>Ränge des Gitters</translation>
    </message>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>The ranks of the plan stand here once a model is open.</source>
        <translation>Hier stehen die Ränge des Plans, sobald ein Modell geöffnet ist.</translation>
    </message>
    <message>
        <source>data %1</source>
        <translation>Daten %1</translation>
    </message>
    <message>
        <source> (experts over %1)</source>
        <translation> (Experten über %1)</translation>
    </message>
    <message>
        <source> × tensor %1</source>
        <translation> × Tensor %1</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::ModelDialog</name>
    <message>
        <source>Plan a model</source>
        <translation>Modell planen</translation>
    </message>
    <message>
        <source>File …</source>
        <translation>Datei …</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>&amp;Model</source>
        <translation>&amp;Modell</translation>
    </message>
    <message>
        <source>Open a model</source>
        <translation>Modell öffnen</translation>
    </message>
    <message>
        <source>Models (*.onnx *.json);;All files (*)</source>
        <translation>Modelle (*.onnx *.json);;Alle Dateien (*)</translation>
    </message>
    <message>
        <source>Sequence length</source>
        <translation>Sequenzlänge</translation>
    </message>
    <message>
        <source>&amp;Sequence length</source>
        <translation>&amp;Sequenzlänge</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <source>Se&amp;ttings</source>
        <translation>&amp;Einstellungen</translation>
    </message>
    <message>
        <source>Dimensions of an ONNX graph</source>
        <translation>Dimensionen eines ONNX-Graphen</translation>
    </message>
    <message>
        <source>&amp;Dimensions</source>
        <translation>&amp;Dimensionen</translation>
    </message>
    <message>
        <source>Cluster</source>
        <translation>Cluster</translation>
    </message>
    <message>
        <source>as in the plan</source>
        <translation>wie im Plan</translation>
    </message>
    <message>
        <source>&amp;Cluster</source>
        <translation>&amp;Cluster</translation>
    </message>
    <message>
        <source>Open a cluster</source>
        <translation>Cluster öffnen</translation>
    </message>
    <message>
        <source>Clusters (*.json *.txt);;All files (*)</source>
        <translation>Cluster (*.json *.txt);;Alle Dateien (*)</translation>
    </message>
    <message>
        <source>Memory per device</source>
        <translation>Speicher je Gerät</translation>
    </message>
    <message>
        <source>all of the device</source>
        <translation>alles auf dem Gerät</translation>
    </message>
    <message>
        <source>Memory &amp;limit</source>
        <translation>Speicher&amp;grenze</translation>
    </message>
    <message>
        <source>Global batch</source>
        <translation>Globaler Batch</translation>
    </message>
    <message>
        <source>Global &amp;batch</source>
        <translation>Globaler &amp;Batch</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>Genauigkeit</translation>
    </message>
    <message>
        <source>&amp;Precision</source>
        <translation>Gena&amp;uigkeit</translation>
    </message>
    <message>
        <source>Optimizer</source>
        <translation>Optimierer</translation>
    </message>
    <message>
        <source>&amp;Optimizer</source>
        <translation>&amp;Optimierer</translation>
    </message>
    <message>
        <source>Search for plans</source>
        <translation>Pläne suchen</translation>
    </message>
    <message>
        <source>default</source>
        <translation>Standard</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::ModelView</name>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Find an operator</source>
        <translation>Einen Operator finden</translation>
    </message>
    <message>
        <source>Find an operator or module (Ctrl+F)</source>
        <translation>Operator oder Modul finden (Strg+F)</translation>
    </message>
    <message>
        <source>Modules</source>
        <translation>Module</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::ModuleTreeModel</name>
    <message>
        <source>module</source>
        <translation>Modul</translation>
    </message>
    <message>
        <source>kind</source>
        <translation>Art</translation>
    </message>
    <message>
        <source>parameters</source>
        <translation>Parameter</translation>
    </message>
    <message>
        <source>of the step</source>
        <translation>vom Schritt</translation>
    </message>
    <message>
        <source>split</source>
        <translation>Aufteilung</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1&lt;/b&gt;: %2 operators</source>
        <translation>&lt;b&gt;%1&lt;/b&gt;: %2 Operatoren</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1 parameters</source>
        <translation>&lt;br&gt;%1 Parameter</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1 of the step (%2) on the average stage</source>
        <translation>&lt;br&gt;%1 des Schritts (%2) auf der mittleren Stufe</translation>
    </message>
    <message>
        <source>&lt;br&gt;prediction: %1</source>
        <translation>&lt;br&gt;Vorhersage: %1</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::OperatorDifference</name>
    <message>
        <source>first</source>
        <translation>erster</translation>
    </message>
    <message>
        <source>second</source>
        <translation>zweiter</translation>
    </message>
    <message>
        <source>&lt;br&gt;difference %1, %2 of all differences</source>
        <translation>&lt;br&gt;Unterschied %1, %2 aller Unterschiede</translation>
    </message>
    <message>
        <source>Operator</source>
        <translation>Operator</translation>
    </message>
    <message>
        <source>Phase</source>
        <translation>Phase</translation>
    </message>
    <message>
        <source>First</source>
        <translation>Erster</translation>
    </message>
    <message>
        <source>Second</source>
        <translation>Zweiter</translation>
    </message>
    <message>
        <source>Difference</source>
        <translation>Unterschied</translation>
    </message>
    <message>
        <source>Share</source>
        <translation>Anteil</translation>
    </message>
    <message>
        <source>seconds of the step on the average rank, so that all rows add up to the step; of communication what is not hidden beside computation</source>
        <translation>Sekunden des Schritts auf dem durchschnittlichen Rang, sodass alle Zeilen zusammen den Schritt ergeben; von der Kommunikation das, was nicht vom Rechnen verdeckt ist</translation>
    </message>
    <message>
        <source>Operator, collective or transfer</source>
        <translation>Operator, Kollektiv oder Übertragung</translation>
    </message>
    <message>
        <source>Part of the step</source>
        <translation>Teil des Schritts</translation>
    </message>
    <message>
        <source>First step: %1</source>
        <translation>Erster Schritt: %1</translation>
    </message>
    <message>
        <source>Second step: %1</source>
        <translation>Zweiter Schritt: %1</translation>
    </message>
    <message>
        <source>Second less first</source>
        <translation>Zweiter minus erster</translation>
    </message>
    <message>
        <source>Of all differences, without their signs</source>
        <translation>An allen Unterschieden, ohne Vorzeichen</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::OperatorDifferenceView</name>
    <message>
        <source>Layers together</source>
        <translation>Schichten zusammen</translation>
    </message>
    <message>
        <source>Difference by operator</source>
        <translation>Unterschied nach Operator</translation>
    </message>
    <message>
        <source>Filter: mlp backward</source>
        <translation>Filter: mlp backward</translation>
    </message>
    <message>
        <source>Filter of the operators</source>
        <translation>Filter der Operatoren</translation>
    </message>
    <message>
        <source>average rank</source>
        <translation>Durchschnitt aller Ränge</translation>
    </message>
    <message>
        <source>slowest stage</source>
        <translation>langsamste Stufe</translation>
    </message>
    <message>
        <source>Whose time</source>
        <translation>Wessen Zeit</translation>
    </message>
    <message>
        <source>Seconds on the average of all ranks, or on those of the stage that computes longest, of each step</source>
        <translation>Sekunden im Durchschnitt aller Ränge oder auf denen der Stufe, die am längsten rechnet, je Schritt</translation>
    </message>
    <message>
        <source>Operators whose names differ in layer numbers only are one row</source>
        <translation>Operatoren, deren Namen sich nur in der Schichtnummer unterscheiden, sind eine Zeile</translation>
    </message>
    <message>
        <source>Operators by difference</source>
        <translation>Operatoren nach Unterschied</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::OperatorFacts</name>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>&lt;br&gt;reads %1 of %2</source>
        <translation>&lt;br&gt;liest %1 von %2</translation>
    </message>
    <message>
        <source>&lt;br&gt;makes %1 of %2</source>
        <translation>&lt;br&gt;erzeugt %1 von %2</translation>
    </message>
    <message>
        <source>&lt;br&gt;forward %1, %2, %3 a micro-batch (%4)</source>
        <translation>&lt;br&gt;vorwärts %1, %2, %3 je Mikro-Batch (%4)</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1 of the step (%2)</source>
        <translation>&lt;br&gt;%1 des Schritts (%2)</translation>
    </message>
    <message>
        <source>&lt;br&gt;prediction: %1</source>
        <translation>&lt;br&gt;Vorhersage: %1</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::PlacementView</name>
    <message>
        <source>Placement</source>
        <translation>Anordnung</translation>
    </message>
    <message>
        <source>Colour by</source>
        <translation>Farbe nach</translation>
    </message>
    <message>
        <source>stage</source>
        <translation>Stufe</translation>
    </message>
    <message>
        <source>memory of the limit</source>
        <translation>Speicher an der Grenze</translation>
    </message>
    <message>
        <source>computing</source>
        <translation>Rechenzeit</translation>
    </message>
    <message>
        <source>idle</source>
        <translation>untätig</translation>
    </message>
    <message>
        <source>colour by</source>
        <translation>Farbe nach</translation>
    </message>
    <message>
        <source>Point at a rank for its groups: %1. Lines are as thick as it sends bytes, dashed where they leave a node.</source>
        <translation>Zeigen Sie auf einen Rang, um seine Gruppen zu sehen: %1. Linien sind so dick, wie er Bytes sendet, gestrichelt, wo sie einen Knoten verlassen.</translation>
    </message>
    <message>
        <source>tensor</source>
        <translation>Tensor</translation>
    </message>
    <message>
        <source>data</source>
        <translation>Daten</translation>
    </message>
    <message>
        <source>pipeline</source>
        <translation>Pipeline</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::PlanScatter</name>
    <message>
        <source>Plans by step time and memory</source>
        <translation>Pläne nach Schrittzeit und Speicher</translation>
    </message>
    <message>
        <source>plans</source>
        <translation>Pläne</translation>
    </message>
    <message>
        <source>Pareto</source>
        <translation>Pareto</translation>
    </message>
    <message>
        <source>baselines</source>
        <translation>üblich</translation>
    </message>
    <message>
        <source>shown</source>
        <translation>gezeigt</translation>
    </message>
    <message>
        <source>step, s</source>
        <translation>Schritt, s</translation>
    </message>
    <message>
        <source>memory, GiB</source>
        <translation>Speicher, GiB</translation>
    </message>
    <message>
        <source>limit</source>
        <translation>Grenze</translation>
    </message>
    <message>
        <source>price of a step, $</source>
        <translation>Preis eines Schritts, $</translation>
    </message>
    <message>
        <source>Show a plan</source>
        <translation>Einen Plan zeigen</translation>
    </message>
    <message>
        <source>%1 a step, %2, MFU %3</source>
        <translation>%1 je Schritt, %2, MFU %3</translation>
    </message>
    <message>
        <source>, %1 a step</source>
        <translation>, %1 je Schritt</translation>
    </message>
    <message>
        <source>memory, GiB (limit %1)</source>
        <translation>Speicher, GiB (Grenze %1)</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::PlanTable</name>
    <message>
        <source> sp</source>
        <translation> sp</translation>
    </message>
    <message>
        <source>does not fit</source>
        <translation>passt nicht</translation>
    </message>
    <message>
        <source>plan</source>
        <translation>Plan</translation>
    </message>
    <message>
        <source>step</source>
        <translation>Schritt</translation>
    </message>
    <message>
        <source>memory</source>
        <translation>Speicher</translation>
    </message>
    <message>
        <source>MFU</source>
        <translation>MFU</translation>
    </message>
    <message>
        <source>tokens/s</source>
        <translation>Token/s</translation>
    </message>
    <message>
        <source>samples/s</source>
        <translation>Beispiele/s</translation>
    </message>
    <message>
        <source>dp</source>
        <translation>dp</translation>
    </message>
    <message>
        <source>tp</source>
        <translation>tp</translation>
    </message>
    <message>
        <source>pp</source>
        <translation>pp</translation>
    </message>
    <message>
        <source>ep</source>
        <translation>ep</translation>
    </message>
    <message>
        <source>mbs</source>
        <translation>mbs</translation>
    </message>
    <message>
        <source>vpp</source>
        <translation>vpp</translation>
    </message>
    <message>
        <source>ZeRO</source>
        <translation>ZeRO</translation>
    </message>
    <message>
        <source>recompute</source>
        <translation>Neuberechnung</translation>
    </message>
    <message>
        <source>bubble</source>
        <translation>Lücke</translation>
    </message>
    <message>
        <source>exposed</source>
        <translation>unverdeckt</translation>
    </message>
    <message>
        <source>$/step</source>
        <translation>$/Schritt</translation>
    </message>
    <message>
        <source>times</source>
        <translation>Zeiten</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::PlansView</name>
    <message>
        <source>Filter: tp&lt;=4 mem&lt;60 zero=1 …</source>
        <translation>Filter: tp&lt;=4 mem&lt;60 zero=1 …</translation>
    </message>
    <message>
        <source>Filter of plans</source>
        <translation>Filter der Pläne</translation>
    </message>
    <message>
        <source>Why not …? A strategy, e.g. dp=8,tp=1,pp=1,mbs=1</source>
        <translation>Warum nicht …? Eine Strategie, z. B. dp=8,tp=1,pp=1,mbs=1</translation>
    </message>
    <message>
        <source>A strategy to try</source>
        <translation>Eine Strategie zum Ausprobieren</translation>
    </message>
    <message>
        <source>Plans</source>
        <translation>Pläne</translation>
    </message>
    <message>
        <source>Try a strategy</source>
        <translation>Eine Strategie ausprobieren</translation>
    </message>
    <message>
        <source>Nothing was searched yet. &lt;a href=&apos;#&apos;&gt;Search for plans (F5)&lt;/a&gt;</source>
        <translation>Noch wurde nicht gesucht. &lt;a href=&apos;#&apos;&gt;Pläne suchen (F5)&lt;/a&gt;</translation>
    </message>
    <message>
        <source>These figures were searched for another cluster or under other limits. &lt;a href=&apos;#&apos;&gt;Search again (F5)&lt;/a&gt;</source>
        <translation>Diese Zahlen gelten für einen anderen Cluster oder andere Grenzen. &lt;a href=&apos;#&apos;&gt;Neu suchen (F5)&lt;/a&gt;</translation>
    </message>
    <message>
        <source>Show a plan</source>
        <translation>Einen Plan zeigen</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::RangeTable</name>
    <message>
        <source>Operator</source>
        <translation>Operator</translation>
    </message>
    <message>
        <source>Phase</source>
        <translation>Phase</translation>
    </message>
    <message>
        <source>Runs</source>
        <translation>Anzahl</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>Share</source>
        <translation>Anteil</translation>
    </message>
    <message>
        <source>Operator, collective or transfer</source>
        <translation>Operator, Kollektiv oder Übertragung</translation>
    </message>
    <message>
        <source>Part of the step</source>
        <translation>Teil des Schritts</translation>
    </message>
    <message>
        <source>Runs on one rank of each stage</source>
        <translation>Ausführungen auf einem Rang jeder Stufe</translation>
    </message>
    <message>
        <source>Time in the range, on the average of the ranks that run it</source>
        <translation>Zeit im Zeitraum, im Durchschnitt der Ränge, die es ausführen</translation>
    </message>
    <message>
        <source>Of the range</source>
        <translation>Am Zeitraum</translation>
    </message>
    <message>
        <source>&lt;br&gt;%1 (%2) on the average of the ranks that run it, %3 runs</source>
        <translation>&lt;br&gt;%1 (%2) im Durchschnitt der Ränge, die es ausführen, %3-mal</translation>
    </message>
    <message>
        <source>&lt;br&gt;predicted %1 (%2)</source>
        <translation>&lt;br&gt;vorhergesagt %1 (%2)</translation>
    </message>
    <message>
        <source>&lt;br&gt;prediction: %1</source>
        <translation>&lt;br&gt;Vorhersage: %1</translation>
    </message>
    <message>
        <source>Measured</source>
        <translation>Gemessen</translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation>Vorhergesagt</translation>
    </message>
    <message>
        <source>Error</source>
        <translation>Fehler</translation>
    </message>
    <message>
        <source>What the same runs were predicted to take</source>
        <translation>Was für dieselben Ausführungen vorhergesagt war</translation>
    </message>
    <message>
        <source>Prediction over measurement: below 0 it was too short</source>
        <translation>Vorhersage gegen Messung: unter 0 war sie zu kurz</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::RangeView</name>
    <message>
        <source>Open a model: here is then what its step spends time on.</source>
        <translation>Öffnen Sie ein Modell: Hier steht dann, womit sein Schritt Zeit verbringt.</translation>
    </message>
    <message>
        <source>Layers together</source>
        <translation>Schichten zusammen</translation>
    </message>
    <message>
        <source>Statistics of the selection</source>
        <translation>Statistik der Auswahl</translation>
    </message>
    <message>
        <source>Operators whose names differ in layer numbers only are one row</source>
        <translation>Operatoren, deren Namen sich nur in der Schichtnummer unterscheiden, sind eine Zeile</translation>
    </message>
    <message>
        <source>Operators by time</source>
        <translation>Operatoren nach Zeit</translation>
    </message>
    <message>
        <source>%1 to %2 (%3)</source>
        <translation>%1 bis %2 (%3)</translation>
    </message>
    <message>
        <source>Whole step (%1)</source>
        <translation>Ganzer Schritt (%1)</translation>
    </message>
    <message>
        <source>all %1 processes</source>
        <translation>alle %1 Prozesse</translation>
    </message>
    <message>
        <source>the only rank</source>
        <translation>der einzige Rang</translation>
    </message>
    <message>
        <source>all %1 ranks</source>
        <translation>alle %1 Ränge</translation>
    </message>
    <message>
        <source>ranks %1</source>
        <translation>Ränge %1</translation>
    </message>
    <message>
        <source> · run %1, measured beside what was predicted for the same</source>
        <translation> · Lauf %1, gemessen neben der Vorhersage dafür</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::RunTable</name>
    <message>
        <source>run</source>
        <translation>Lauf</translation>
    </message>
    <message>
        <source>model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>strategy</source>
        <translation>Strategie</translation>
    </message>
    <message>
        <source>ranks</source>
        <translation>Ränge</translation>
    </message>
    <message>
        <source>when</source>
        <translation>wann</translation>
    </message>
    <message>
        <source>predicted</source>
        <translation>vorhergesagt</translation>
    </message>
    <message>
        <source>measured</source>
        <translation>gemessen</translation>
    </message>
    <message>
        <source>error</source>
        <translation>Fehler</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::RunView</name>
    <message>
        <source>Run</source>
        <translation>Starten</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>processor</source>
        <translation>Prozessor</translation>
    </message>
    <message>
        <source>NVIDIA GPUs</source>
        <translation>NVIDIA-GPUs</translation>
    </message>
    <message>
        <source>What it runs on</source>
        <translation>Worauf er läuft</translation>
    </message>
    <message>
        <source> steps</source>
        <translation> Schritte</translation>
    </message>
    <message>
        <source>Steps</source>
        <translation>Schritte</translation>
    </message>
    <message>
        <source>step</source>
        <translation>Schritt</translation>
    </message>
    <message>
        <source>loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Loss by step</source>
        <translation>Verlust je Schritt</translation>
    </message>
    <message>
        <source>Trains the shown plan with %1 ranks on this machine.</source>
        <translation>Trainiert den gezeigten Plan mit %1 Rängen auf diesem Rechner.</translation>
    </message>
    <message>
        <source>Open a model first.</source>
        <translation>Öffnen Sie zuerst ein Modell.</translation>
    </message>
    <message>
        <source>starting …</source>
        <translation>startet …</translation>
    </message>
    <message>
        <source>step %1: loss %2, %3, %4 samples/s</source>
        <translation>Schritt %1: Verlust %2, %3, %4 Beispiele/s</translation>
    </message>
    <message>
        <source>measured %1 a step, predicted %2: %3 too %4</source>
        <translation>gemessen %1 je Schritt, vorhergesagt %2: %3 zu %4</translation>
    </message>
    <message>
        <source>short</source>
        <translation>kurz</translation>
    </message>
    <message>
        <source>long</source>
        <translation>lang</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::RunsView</name>
    <message>
        <source>&amp;Compare with the prediction</source>
        <translation>Mit der Vorhersage &amp;vergleichen</translation>
    </message>
    <message>
        <source>Predict from this &amp;store</source>
        <translation>Aus diesem Spei&amp;cher vorhersagen</translation>
    </message>
    <message>
        <source>Runs in %1</source>
        <translation>Läufe in %1</translation>
    </message>
    <message numerus="yes">
        <source>%n training run(s) in %1</source>
        <translation>
            <numerusform>%n Trainingslauf in %1</numerusform>
            <numerusform>%n Trainingsläufe in %1</numerusform>
        </translation>
    </message>
    <message>
        <source>No training run is in %1.</source>
        <translation>In %1 ist kein Trainingslauf.</translation>
    </message>
    <message>
        <source>Training runs</source>
        <translation>Trainingsläufe</translation>
    </message>
    <message>
        <source>Measurements in this store correct predictions from now on</source>
        <translation>Messungen aus dieser Datei verbessern von nun an die Vorhersagen</translation>
    </message>
    <message>
        <source>Predictions are made from %1 now.</source>
        <translation>Vorhergesagt wird nun aus %1.</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::Session</name>
    <message>
        <source>Open a plan</source>
        <translation>Plan öffnen</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>Suchen</translation>
    </message>
    <message>
        <source>No plan fits</source>
        <translation>Kein Plan passt</translation>
    </message>
    <message>
        <source>take more or larger devices, or a smaller global batch</source>
        <translation>nehmen Sie mehr oder größere Geräte oder einen kleineren globalen Batch</translation>
    </message>
    <message>
        <source>No plan with %1 fits</source>
        <translation>Kein Plan mit %1 passt</translation>
    </message>
    <message>
        <source>drop some of it, or take more or larger devices</source>
        <translation>verzichten Sie auf etwas davon oder nehmen Sie mehr oder größere Geräte</translation>
    </message>
    <message>
        <source>Search any %1</source>
        <translation>Jedes %1 suchen</translation>
    </message>
    <message>
        <source>Search only %1 = %2</source>
        <translation>Nur %1 = %2 suchen</translation>
    </message>
    <message>
        <source>Move layers</source>
        <translation>Schichten verschieben</translation>
    </message>
    <message>
        <source>Change the cluster</source>
        <translation>Cluster ändern</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::SessionKeeper</name>
    <message>
        <source>The session is not saved: %1</source>
        <translation>Die Sitzung ist nicht gespeichert: %1</translation>
    </message>
    <message>
        <source>The last session is kept in %1; open that file to go on with it.</source>
        <translation>Die letzte Sitzung liegt in %1; öffnen Sie diese Datei, um damit fortzufahren.</translation>
    </message>
    <message>
        <source>Meshplan ended while it restored the last session</source>
        <translation>Meshplan endete, während es die letzte Sitzung wiederherstellte</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::ShareBar</name>
    <message>
        <source>Shares of the time</source>
        <translation>Anteile der Zeit</translation>
    </message>
    <message>
        <source>%1  %2  %3</source>
        <translation>%1  %2  %3</translation>
    </message>
    <message>
        <source>compute</source>
        <translation>Rechnen</translation>
    </message>
    <message>
        <source>optimizer</source>
        <translation>Optimierer</translation>
    </message>
    <message>
        <source>exposed communication</source>
        <translation>unverdeckte Kommunikation</translation>
    </message>
    <message>
        <source>idle</source>
        <translation>untätig</translation>
    </message>
    <message>
        <source> (predicted %1)</source>
        <translation> (vorhergesagt %1)</translation>
    </message>
    <message>
        <source>measured</source>
        <translation>gemessen</translation>
    </message>
    <message>
        <source>  </source>
        <translation>  </translation>
    </message>
    <message>
        <source>predicted</source>
        <translation>vorhergesagt</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::StageBlocks</name>
    <message>
        <source>stage %1, part %2</source>
        <translation>Stufe %1, Teil %2</translation>
    </message>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>%1 would be left without a layer</source>
        <translation>%1 bliebe ohne Schicht</translation>
    </message>
    <message>
        <source>%1: %2 → %3 blocks, %4: %5 → %6</source>
        <translation>%1: %2 → %3 Blöcke, %4: %5 → %6</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::StagesView</name>
    <message>
        <source>Layers of the stages</source>
        <translation>Schichten der Stufen</translation>
    </message>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>%1, %2 blocks</source>
        <translation>%1, %2 Blöcke</translation>
    </message>
    <message>
        <source>One stage: every rank has all layers. In a plan with more (pipeline), layers can be moved between them.</source>
        <translation>Eine Stufe: Jeder Rang hat alle Schichten. In einem Plan mit mehreren (Pipeline) lassen sich Schichten zwischen ihnen verschieben.</translation>
    </message>
    <message>
        <source>A row is as long as a micro-batch takes in that stage. Drag a layer to another stage to move it.</source>
        <translation>Eine Zeile ist so lang, wie ein Mikro-Batch in dieser Stufe dauert. Ziehen Sie eine Schicht in eine andere Stufe, um sie zu verschieben.</translation>
    </message>
    <message>
        <source>The layers of the stages stand here once a model is open.</source>
        <translation>Hier stehen die Schichten der Stufen, sobald ein Modell geöffnet ist.</translation>
    </message>
    <message>
        <source>%1, 1 block</source>
        <translation>%1, 1 Block</translation>
    </message>
    <message>
        <source>Move to %1</source>
        <translation>Nach %1 verschieben</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1&lt;/b&gt;, %2&lt;br&gt;%3 a micro-batch, forward and backward, of %4 of the stage (%5)</source>
        <translation>&lt;b&gt;%1&lt;/b&gt;, %2&lt;br&gt;%3 je Mikro-Batch, vorwärts und rückwärts, von %4 der Stufe (%5)</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::StartPage</name>
    <message>
        <source>Start</source>
        <translation>Start</translation>
    </message>
    <message>
        <source>How should this model be split over these GPUs?</source>
        <translation>Wie soll dieses Modell auf diese GPUs verteilt werden?</translation>
    </message>
    <message>
        <source>Start with an example, or drop a model, plan or cluster file here.</source>
        <translation>Beginnen Sie mit einem Beispiel oder legen Sie eine Modell-, Plan- oder Clusterdatei hier ab.</translation>
    </message>
    <message>
        <source>Llama-3 8B</source>
        <translation>Llama-3 8B</translation>
    </message>
    <message>
        <source>on one node of 8 H100
sequences of 8,192 tokens</source>
        <translation>auf einem Knoten mit 8 H100
Sequenzen von 8192 Token</translation>
    </message>
    <message>
        <source>GPT-3 175B</source>
        <translation>GPT-3 175B</translation>
    </message>
    <message>
        <source>on 1,024 A100 of 80 GB
sequences of 2,048 tokens</source>
        <translation>auf 1024 A100 mit 80 GB
Sequenzen von 2048 Token</translation>
    </message>
    <message>
        <source>ResNet-50</source>
        <translation>ResNet-50</translation>
    </message>
    <message>
        <source>on this computer&apos;s processor
images of 224 × 224</source>
        <translation>auf dem Prozessor dieses Rechners
Bilder von 224 × 224</translation>
    </message>
    <message>
        <source>Choose a model and a cluster …</source>
        <translation>Modell und Cluster wählen …</translation>
    </message>
    <message>
        <source>Open a file …</source>
        <translation>Datei öffnen …</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::StepLanesView</name>
    <message>
        <source>Both steps over time</source>
        <translation>Beide Schritte im Verlauf</translation>
    </message>
    <message>
        <source>Stage of the first step</source>
        <translation>Stufe des ersten Schritts</translation>
    </message>
    <message>
        <source>Fit</source>
        <translation>Einpassen</translation>
    </message>
    <message>
        <source>Fit the selection, or everything (F)</source>
        <translation>Die Auswahl einpassen, sonst alles (F)</translation>
    </message>
    <message>
        <source>+</source>
        <translation>+</translation>
    </message>
    <message>
        <source>Closer (W)</source>
        <translation>Näher (W)</translation>
    </message>
    <message>
        <source>−</source>
        <translation>−</translation>
    </message>
    <message>
        <source>Farther (S)</source>
        <translation>Ferner (S)</translation>
    </message>
    <message>
        <source>Stage of the second step</source>
        <translation>Stufe des zweiten Schritts</translation>
    </message>
    <message>
        <source>stage %1, the slowest</source>
        <translation>Stufe %1, die langsamste</translation>
    </message>
    <message>
        <source>stage %1</source>
        <translation>Stufe %1</translation>
    </message>
    <message>
        <source>of the first step (%1): %2</source>
        <translation>des ersten Schritts (%1): %2</translation>
    </message>
    <message>
        <source>of the second (%1): %2</source>
        <translation>des zweiten (%1): %2</translation>
    </message>
    <message>
        <source>Click a span to learn about it.</source>
        <translation>Klicken Sie auf einen Abschnitt, um mehr zu erfahren.</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::SummaryView</name>
    <message>
        <source>The shown plan</source>
        <translation>Der gezeigte Plan</translation>
    </message>
    <message>
        <source>No plan is shown yet.</source>
        <translation>Noch wird kein Plan gezeigt.</translation>
    </message>
    <message>
        <source> tokens/s</source>
        <translation> Token/s</translation>
    </message>
    <message>
        <source> samples/s</source>
        <translation> Beispiele/s</translation>
    </message>
    <message>
        <source>&lt;b style=&apos;font-size:large&apos;&gt;%1&lt;/b&gt; &amp;nbsp; %2 a step, %3, MFU %4 &lt;span style=&apos;color:gray&apos;&gt;(%5)&lt;/span&gt;</source>
        <translation>&lt;b style=&apos;font-size:large&apos;&gt;%1&lt;/b&gt; &amp;nbsp; %2 je Schritt, %3, MFU %4 &lt;span style=&apos;color:gray&apos;&gt;(%5)&lt;/span&gt;</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineHelp</name>
    <message>
        <source>Keys of the timeline</source>
        <translation>Tasten des Zeitverlaufs</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineLanes</name>
    <message>
        <source>Tracks of the timeline</source>
        <translation>Spuren des Zeitverlaufs</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineLegend</name>
    <message>
        <source>Colours and patterns of the timeline</source>
        <translation>Farben und Muster des Zeitverlaufs</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineMemory</name>
    <message>
        <source>Memory over time</source>
        <translation>Speicher im Verlauf</translation>
    </message>
    <message>
        <source>%1 at %2</source>
        <translation>%1 bei %2</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineMinimap</name>
    <message>
        <source>The whole step, with the part in sight</source>
        <translation>Der ganze Schritt mit dem sichtbaren Teil</translation>
    </message>
    <message>
        <source>step %1</source>
        <translation>Schritt %1</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineRuler</name>
    <message>
        <source>Time axis</source>
        <translation>Zeitachse</translation>
    </message>
    <message>
        <source>%1 in sight</source>
        <translation>%1 sichtbar</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::TimelineView</name>
    <message>
        <source>Timeline</source>
        <translation>Zeitverlauf</translation>
    </message>
    <message>
        <source>Nothing is shown yet: open a model, and its step appears here.</source>
        <translation>Noch ist nichts zu sehen: Öffnen Sie ein Modell, dann erscheint hier sein Schritt.</translation>
    </message>
    <message>
        <source>Fit</source>
        <translation>Einpassen</translation>
    </message>
    <message>
        <source>Fit the selection, or everything (F)</source>
        <translation>Die Auswahl einpassen, sonst alles (F)</translation>
    </message>
    <message>
        <source>+</source>
        <translation>+</translation>
    </message>
    <message>
        <source>Closer (W)</source>
        <translation>Näher (W)</translation>
    </message>
    <message>
        <source>−</source>
        <translation>−</translation>
    </message>
    <message>
        <source>Farther (S)</source>
        <translation>Ferner (S)</translation>
    </message>
    <message>
        <source>Critical path</source>
        <translation>Kritischer Pfad</translation>
    </message>
    <message>
        <source>What the step waits for (C)</source>
        <translation>Worauf der Schritt wartet (C)</translation>
    </message>
    <message>
        <source>Flows</source>
        <translation>Flüsse</translation>
    </message>
    <message>
        <source>Lines from send to receive (L)</source>
        <translation>Linien vom Senden zum Empfangen (L)</translation>
    </message>
    <message>
        <source>Keys ?</source>
        <translation>Tasten ?</translation>
    </message>
    <message>
        <source>Keys of the timeline (?)</source>
        <translation>Tasten des Zeitverlaufs (?)</translation>
    </message>
    <message>
        <source>Click a span to learn about it; ? shows the keys.</source>
        <translation>Klicken Sie auf einen Abschnitt, um mehr zu erfahren; ? zeigt die Tasten.</translation>
    </message>
    <message>
        <source>Measured</source>
        <translation>Gemessen</translation>
    </message>
    <message>
        <source>The last run, measured below predicted, or the plan (R)</source>
        <translation>Der letzte Lauf, gemessen unter vorhergesagt, oder der Plan (R)</translation>
    </message>
</context>
<context>
    <name>meshplan::gui::WhatIfView</name>
    <message>
        <source>What if</source>
        <translation>Was wäre, wenn</translation>
    </message>
    <message>
        <source>network</source>
        <translation>Netz</translation>
    </message>
    <message>
        <source>in a node</source>
        <translation>im Knoten</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>as opened</source>
        <translation>wie geöffnet</translation>
    </message>
    <message>
        <source>device</source>
        <translation>Gerät</translation>
    </message>
    <message>
        <source>Pin to compare</source>
        <translation>Zum Vergleich anheften</translation>
    </message>
    <message>
        <source>Bandwidth, %1</source>
        <translation>Bandbreite, %1</translation>
    </message>
    <message>
        <source>%1 = %2</source>
        <translation>%1 = %2</translation>
    </message>
    <message>
        <source>Keep %1 %2 in searches</source>
        <translation>%1 %2 bei Suchen beibehalten</translation>
    </message>
    <message>
        <source>as the planner cuts them</source>
        <translation>wie der Planer sie schneidet</translation>
    </message>
    <message>
        <source>Stages as planned</source>
        <translation>Stufen wie geplant</translation>
    </message>
    <message>
        <source>stages</source>
        <translation>Stufen</translation>
    </message>
    <message>
        <source>Searches keep %1 = %2</source>
        <translation>Suchen behalten %1 = %2</translation>
    </message>
    <message>
        <source>Searches keep &lt;b&gt;%1&lt;/b&gt;. &lt;a href=&apos;search&apos;&gt;Search&lt;/a&gt; · &lt;a href=&apos;drop&apos;&gt;Drop all&lt;/a&gt;</source>
        <translation>Suchen behalten &lt;b&gt;%1&lt;/b&gt;. &lt;a href=&apos;search&apos;&gt;Suchen&lt;/a&gt; · &lt;a href=&apos;drop&apos;&gt;Alles verwerfen&lt;/a&gt;</translation>
    </message>
    <message>
        <source>%1: %2 a step (%3), peak %4</source>
        <translation>%1: %2 je Schritt (%3), Spitze %4</translation>
    </message>
    <message>
        <source>No other single choice fits.</source>
        <translation>Keine andere einzelne Wahl passt.</translation>
    </message>
    <message>
        <source>Faster by one choice: &lt;b&gt;%1&lt;/b&gt; (%2).</source>
        <translation>Schneller durch eine Wahl: &lt;b&gt;%1&lt;/b&gt; (%2).</translation>
    </message>
    <message>
        <source>No single other choice is faster; the nearest is &lt;b&gt;%1&lt;/b&gt; (%2).</source>
        <translation>Keine andere einzelne Wahl ist schneller; am nächsten ist &lt;b&gt;%1&lt;/b&gt; (%2).</translation>
    </message>
    <message>
        <source>Open a model to try other choices.</source>
        <translation>Öffnen Sie ein Modell, um anderes auszuprobieren.</translation>
    </message>
    <message>
        <source>&lt;b&gt;%1&lt;/b&gt;%2 a step, peak %3%4</source>
        <translation>&lt;b&gt;%1&lt;/b&gt;%2 je Schritt, Spitze %3%4</translation>
    </message>
    <message>
        <source>&lt;br&gt;MFU %1</source>
        <translation>&lt;br&gt;MFU %1</translation>
    </message>
    <message>
        <source>, %1 a step</source>
        <translation>, %1 je Schritt</translation>
    </message>
</context>
</TS>
