"""Every word that the pages show, in Brazilian Portuguese."""

from __future__ import annotations

NAME = "Fiel"
LANGUAGE_TAG = "pt-BR"

# Header
SHOW_CONVERSATIONS = "Conversas"
SHOW_DOCUMENTS = "Documentos"
SWITCH_THEME = "Alternar entre claro e escuro"
CLOSE = "Fechar"
CANCEL = "Cancelar"
CONFIRM = "OK"

# The empty state
WELCOME = "Pergunte aos seus documentos"
WELCOME_TEXT = "As respostas vêm dos seus próprios arquivos, e cada uma mostra a frase em que se apoia."
ADD_FILES = "Adicionar documentos"
ADD_FILES_TEXT = "Solte arquivos em qualquer lugar desta página, ou escolha-os."
TRY_SAMPLES = "Experimente com documentos de exemplo"
TRY_SAMPLES_TEXT = "Adiciona alguns documentos curtos e faz a primeira pergunta por você."
EXAMPLES = "Perguntas para começar"

# Asking
QUESTION_LABEL = "Sua pergunta"
QUESTION_HINT = "Pergunte sobre os seus documentos …"
SEND = "Enviar"
STOP = "Parar"
SEARCHING = "Procurando nos seus documentos …"
READING = {1: "Lendo 1 trecho …", 2: "Lendo {} trechos …"}
ADDING_SAMPLES = "Adicionando os documentos de exemplo … {} %"
SAMPLES_MISSING = "Os documentos de exemplo não estão instalados."
STILL_ANSWERING = "Uma resposta ainda está sendo escrita. Espere por ela ou pare-a primeiro."
EDITING = "Você está mudando uma pergunta anterior. O que veio depois dela sai da conversa."
ASKING_CHOSEN = {1: "Perguntando a 1 documento escolhido", 2: "Perguntando a {} documentos escolhidos"}
ASK_ALL = "Perguntar a todos"
BEING_READ = {
    1: "1 documento ainda está sendo lido. Você já pode perguntar: as respostas usam o que está pronto.",
    2: "{} documentos ainda estão sendo lidos. Você já pode perguntar: as respostas usam o que está pronto.",
}
FOOTNOTE = "O Fiel pode errar: confira as fontes."
CHANGE_FAILED = "Não deu certo. Tente de novo; se continuar assim, o registro na pasta de estado diz por quê."

# Answers
ANSWER = "Resposta"
QUESTION = "Pergunta"
SOURCES = "Fontes"
SOURCE_OF = "Fonte {n}: {document}"
PAGE = "Página {}"
PAGE_SHORT = "p. {}"
GOOD = "Boa resposta"
BAD = "Má resposta"
COPY = "Copiar resposta"
COPIED = "Copiada"
RETRY = "Perguntar de novo"
ANSWERED_BY = "O adaptador que respondeu, ou o modelo base"
EDIT = "Editar pergunta"
DELETE_EXCHANGE = "Apagar pergunta e resposta"
CONFIRM_DELETE_EXCHANGE = "Apagar esta pergunta com a resposta e a avaliação? Não há volta."
STOPPED = "Parada antes de terminar."
FAILED = "Esta resposta não pôde ser terminada. Pergunte de novo."
REDACTED = "Esta resposta se apoiava num documento que foi apagado, e foi apagada com ele."
EMPTY_ANSWER = "Nenhuma resposta foi escrita."

# The source panel
SOURCE = "Fonte"
SOURCE_HINT = "Escolha um número numa resposta para ver a frase em que ela se apoia."
OPEN_DOCUMENT = "Abrir no documento"
OPEN_ORIGINAL = "Arquivo original"
DOCUMENT_GONE = "Este documento foi apagado desde então. Você vê o trecho como era quando a pergunta foi feita."
STILL_READ = "O texto ainda está sendo lido. Recarregue esta página daqui a pouco."
EARLIER_TEXT = "Texto anterior"
LATER_TEXT = "Texto seguinte"

# Documents
DOCUMENTS = "Documentos"
UPLOAD_LABEL = "Solte arquivos aqui ou escolha-os"
NO_DOCUMENTS = "Ainda não há documentos."
CHOOSE = "Perguntar só a este documento: {}"
QUEUED = "Esperando"
INDEXING = "Lendo … {} %"
DOCUMENT_FAILED = "Não pôde ser lido"
PAGES = {1: "1 página", 2: "{} páginas"}
EMPTY_PAGES = {
    1: "1 página não tem texto (talvez seja a imagem de uma página), e não se pode perguntar sobre ela.",
    2: "{} páginas não têm texto (talvez sejam imagens de páginas), e não se pode perguntar sobre elas.",
}
SENTENCES = {1: "1 frase", 2: "{} frases"}
RETRY_DOCUMENT = "Tentar de novo"
DELETE_DOCUMENT = "Apagar {}"
CONFIRM_DELETE_DOCUMENT = (
    "Apagar “{}”? O que respostas anteriores mostraram e disseram dele também é apagado, para todos."
)
NOT_ADDED = "“{name}” não foi adicionado: {reason}"
ALREADY_THERE = "“{name}” já está lá, como “{same}”."

# Conversations
CONVERSATION = "Conversa"
NEW_CONVERSATION = "Nova conversa"
SEARCH_CONVERSATIONS = "Procurar nas conversas"
NO_CONVERSATIONS = "Suas conversas ficarão guardadas aqui."
NOTHING_FOUND = "Nenhuma conversa tem essas palavras."
CONVERSATION_MENU = "Opções de {}"
RENAME = "Renomear"
RENAME_PROMPT = "Nome da conversa"
EXPORT_MARKDOWN = "Exportar como Markdown"
EXPORT_JSON = "Exportar como JSON"
DELETE = "Apagar"
CONFIRM_DELETE_CONVERSATION = "Apagar “{}”? Suas perguntas, respostas e avaliações também são apagadas."
NAME_MISSING = "Dê um nome à conversa."
DROP_HERE = "Solte para adicionar aos seus documentos"

# Signing in and the account
SIGN_IN = "Entrar"
SIGNED_OUT = "Sua sessão terminou. Entre de novo."
SIGN_OUT = "Sair"
USER_NAME = "Nome"
PASSWORD = "Senha"  # noqa: S105
WELCOME_PERSON = "Boas-vindas, {}"
CHOOSE_PASSWORD = "Escolha uma senha de pelo menos 10 caracteres. Este link funciona uma vez."  # noqa: S105
SET_PASSWORD = "Definir senha"  # noqa: S105
ACCOUNT = "Sua conta"
CURRENT_PASSWORD = "Senha atual"  # noqa: S105
NEW_PASSWORD = "Nova senha"  # noqa: S105
CHANGE_PASSWORD = "Mudar senha"  # noqa: S105
DONE = "Feito."
NOT_DONE = "Não deu certo. Tente de novo."
SESSIONS = "Navegadores"
SIGNED_IN_BROWSERS = {1: "Você entrou em 1 navegador.", 2: "Você entrou em {} navegadores."}
SIGN_OUT_ELSEWHERE = "Sair em todos os outros"
LEARNING = "Aprender com respostas privadas"
SHARING_TEXT = (
    "Se você permitir, administradores podem ler as suas conversas que se apoiam nos seus documentos privados, e o "
    "assistente pode aprender com elas; quem perguntar poderia então ouvir o que está neles."
)
SHARING_ALLOW = "Permitir"
SHARING_REVOKE = "Deixar de permitir"
SHARING_ON = "Você permite agora."
SHARING_OFF = "Você não permite agora."
API_KEYS = "Chaves da API"
API_KEYS_TEXT = "Um programa que manda uma chave pergunta em seu nome."
NO_KEYS = "Você não tem chaves."
KEY_NAME = "Para que é a chave?"
MAKE_KEY = "Criar uma chave"
KEY_ONCE = "Copie esta chave agora: ela não será mostrada de novo."
REVOKE = "Revogar"
LANGUAGE = "Idioma"
LANGUAGE_NAME = "Português (Brasil)"
LOCAL_ACCOUNT = "Enquanto não há contas, quem está neste computador é o administrador local."
BACK = "Voltar à conversa"

# People
PEOPLE = "Pessoas"
ROLE = "Papel"
ROLES = {"user": "Usuário", "admin": "Administrador"}
STATE = "Estado"
STATES = {"active": "ativa", "invited": "convidada", "disabled": "desativada"}
INVITE = "Convidar"
INVITE_TEXT = "Você recebe um link com o qual a pessoa escolhe uma senha, uma vez, dentro de três dias."
LINK_ONCE = "Dê este link à pessoa: ele não será mostrado de novo."
MAKE_ADMIN = "Tornar administrador"
MAKE_USER = "Tornar usuário"
DISABLE = "Desativar"
ENABLE = "Ativar"
RESET = "Redefinir senha"
NO_PEOPLE = (
    "Ainda não há contas: quem está neste computador é o administrador local. Com a primeira conta, todos precisam "
    "entrar."
)

# The audit log
AUDIT = "Auditoria"
WHEN = "Quando"
WHO = "Quem"
WHAT = "O quê"
SUBJECT = "Número ou id"
ANY = "qualquer"
FILTER = "Filtrar"
MORE = "Mais"
NOTHING = "Nada aqui."

# Review and charts
REVIEW = "Revisão"
CHARTS = "Gráficos"

# Rating
RATE_WHY = "Por quê? (opcional)"
RATE_PASSAGES = "Quais trechos não cabem aqui?"
RATE_MORE = "Comentar ou corrigir a resposta"
RATE_COMMENT = "Comentário"
RATE_CORRECTION = "A resposta como deveria ser"
RATE_KEEP = "Salvar"
RATING_KEPT = "Salvo. Obrigado."
REASONS = {
    "not_in_documents": "não está nos documentos",
    "wrong": "errada",
    "incomplete": "incompleta",
    "wrong_passage": "trecho errado",
    "not_asked": "não foi o que perguntei",
    "tone": "tom ou idioma",
}

# The badge of an answer
SUPPORT = {1: "{supported} de 1 frase apoiada", 2: "{supported} de {total} frases apoiadas"}
SUPPORT_TEXT = "Quanto da resposta decorre das fontes, como um pequeno modelo juiz o vê"
SUPPORTED = "apoiada"
UNSUPPORTED = "não apoiada"
LEVELS = {"supported": SUPPORTED, "unclear": "incerta", "not_found": "não encontrada nas fontes"}
SUPPORT_CHECKED = (
    "Onde pessoas daqui conferiram este juiz, ele achou {found} frases apoiadas e {not_found} não apoiadas."
)
SUPPORT_UNCHECKED = "Ninguém daqui conferiu este juiz ainda."

# The review queue
REVIEW_STATES = {"pending": "a revisar", "accepted": "aceita", "rejected": "rejeitada"}
RATING = "Avaliação"
THUMBS = {"1": "positiva", "-1": "negativa"}
REASON = "Razão"
DOCUMENT_NUMBER = "Documento (número)"
PERSON = "Pessoa"
ADAPTER = "Adaptador"
NO_ADAPTER = "nenhum (base)"
SINCE = "Desde"
UNTIL = "Até"
SUPPORT_BELOW = "Apoio abaixo de"
WORDS = "Palavras"
MORE_FILTERS = "Mais filtros"
HELD = "só as retidas"
HELD_BACK = "retida: pessoa nova ou ativa demais"
RESULTS = {1: "1 avaliação", 2: "{} avaliações"}
MANY_RESULTS = "mais de {} avaliações"
CONTRADICTIONS = "Contradições"
DUPLICATES = "Mesma pergunta"
QUEUE = "Fila"
ACCEPT = "Aceitar"
REJECT = "Rejeitar"
REOPEN = "Reabrir"
ACCEPT_CHOSEN = "Aceitar escolhidas"
REJECT_CHOSEN = "Rejeitar escolhidas"
CHOOSE_ALL = "Escolher todas"
EDITED_ANSWER = "A resposta a aprender (vazia: como está)"
EDIT_ANSWER = "Editar a resposta"
ACCEPT_EDITED = "Aceitar como editada"
KEYS = "Teclas: j e k movem, x escolhe, a aceita, r rejeita, e edita."
PASSAGES = {1: "1 trecho", 2: "{} trechos"}
EARLIER = "Antes na conversa"
WRONG_PASSAGE = "marcado como errado"
CORRECTED = "A resposta da pessoa"
REVIEWED = "{state} por {person}, {when}"

# Judging sentences blind
LABELLING = "Conferir o juiz"
LABELLING_TEXT = "Os trechos sustentam a frase? O que o juiz disse dela não é mostrado: é assim que ele é conferido."
WAITING_LABELS = {1: "1 frase para julgar", 2: "{} frases para julgar"}
HOW_MANY = "Quantas"
DRAW = "Sortear frases"
JUDGE = "Juiz"
SENSITIVITY = "Sustentadas que ele acha"
SPECIFICITY = "Não sustentadas que ele acha"

# Charts
PERIOD = "Período"
DAYS = {1: "o último dia", 2: "os últimos {} dias"}
LATEST_RATINGS = "As proporções são das últimas avaliações, no máximo {}."
OF = "de {}"
BY_DAY = "Avaliações por dia"
BY_ADAPTER = "Positivas por adaptador"
BY_DOCUMENT = "Positivas por documento"
BY_REASON = "Positivas por razão dada"
UNANSWERED = "Perguntas que os documentos não puderam responder"

# Data
DATA = "Dados"
EXPORT = "Exportar para treino"
EXPORT_TEXT = (
    "O que foi aceito na revisão, em JSON Lines. Conversas privadas só estão nele quando quem as teve permite."
)
FORM = "Formato"
FORMS = {
    "raw": "triplas com avaliações e origem",
    "openai": "OpenAI, ajuste fino de conversas",
    "trl": "TRL: prompt e resposta",
    "kto": "TRL: KTO, polegares como rótulos",
}
DOWNLOAD = "Baixar"
ACCEPTED = {1: "1 avaliação aceita", 2: "{} avaliações aceitas"}
GOLDEN = "Perguntas de referência"
GOLDEN_TEXT = (
    "Perguntas com as respostas que deveriam ter, para medir: JSON Lines ou CSV com question e answer. Um"
    " arquivo entra inteiro ou não entra; uma pergunta conhecida recebe a nova resposta."
)
GOLDEN_FILE = "Arquivo (.jsonl ou .csv)"
IMPORT = "Importar"
IMPORTED = "{new} novas, {changed} mudadas, {unchanged} como estavam. Recarregue a página para vê-las."
GOLDEN_QUESTIONS = {1: "1 pergunta", 2: "{} perguntas"}
ADAPTERS_AND_DELETED = "Adaptadores e o que foi apagado"
ADAPTERS_AND_DELETED_TEXT = (
    "Um adaptador é afetado quando se apaga algo com que ele aprendeu: treine um novo para que seja esquecido."
)
AFFECTED = "afetado desde {}"
UNAFFECTED = "não afetado"
MADE = "Feito em"

# Deleting
DELETE_ACCOUNT = "Apagar conta"
DELETE_ACCOUNT_TEXT = "Suas conversas, avaliações, documentos privados e chaves são apagados. Não há volta."

# What the gate decided
VERDICTS = {
    "promoted": "Promovido: o candidato responde com mais fidelidade do que o que respondia antes.",
    "rejected": "Rejeitado: {why}",
    "not_enough_evidence": "Evidência insuficiente: {why}",
    "judge_not_trusted": "O juiz não merece confiança aqui: as pessoas o contradizem demais, e nada foi decidido.",
    "failed": "Falhou: {why}",
    "cancelled": "Cancelado: {why}",
    "not_tried": "Não tentado: {why}",
}
WHY = {
    "items": "há {items} perguntas para a prova, e são necessárias 60.",
    "groups": "as perguntas tratam de {groups} seções de documentos, e são necessárias 12.",
    "effective_groups": "quase todas as perguntas tratam de poucas seções de documentos.",
    "largest_group": "perguntas demais tratam de uma única seção de um documento.",
    "coverage": "o juiz deixou respostas demais sem nota.",
    "test": "não está provado sem dúvida que o candidato é mais fiel (p = {p}; é necessário no máximo {alpha}).",
    "gain": "o ganho de {mean} é pequeno demais para valer uma troca.",
    "base": "não está provado que o candidato é mais fiel do que o modelo base.",
    "proven": "não está provado que o candidato é mais fiel do que o último adaptador que passou na prova.",
    "relevancy": "as respostas podem ser menos pertinentes.",
    "twin_refusals": "ele pode responder mais vezes onde os trechos não contêm a resposta.",
    "wrong_refusals": "ele pode recusar mais vezes onde os trechos contêm a resposta.",
    "f1": "ele pode concordar menos com as respostas que as pessoas escreveram.",
    "shorter": "as respostas ficaram muito mais curtas.",
    "longer": "as respostas ficaram muito mais longas.",
    "canaries": "o motor não responde direito com ele.",
    "judge": "a acurácia balanceada no que as pessoas conferiram está abaixo de 0,65.",
    "nothing_to_learn": "nenhuma avaliação aceita ensina algo ainda. Avalie respostas e aceite avaliações na revisão.",
    "unchanged": "não há nada novo para aprender desde a última vez.",
    "screened": "nas perguntas de validação o candidato não é melhor em pelo menos 0,01.",
    "rolled_back": "um adaptador de quase os mesmos exemplos foi revertido; um décimo deles tem de ser novo.",
    "preview": "isto foi uma prévia.",
    "no_tickets": "todas as tentativas deste ano estão gastas.",
    "changed": "pessoas mudaram os adaptadores nesse meio-tempo: o que foi provado não vale para esses.",
    "affected": "exemplos dele foram apagados nesse meio-tempo; o próximo ciclo aprende sem eles.",
}
VERDICT_GAIN = "Ganho de fidelidade: pelo menos {lower} (limite de 95 %), {mean} em média; p = {p}, no máximo {alpha}."
VERDICT_WINNER = "A média favorece o que foi promovido; o limite não."
VERDICT_EVIDENCE = "Baseia-se em {items} perguntas sobre {groups} seções e vale para os documentos atuais."
VERDICT_MORE = "Cerca de {count} perguntas a mais nas conversas, avaliadas ou não, mostrariam se ele ganha 0,05."
VERDICT_TICKETS = "Tentativas que restam em um ano: {count}."

# Treinamento
TRAINING = "Treinamento"
TRAIN_NOW = "Treinar agora"
PREVIEW = "Prévia: o que seria aprendido"
RUN = "Execução"
RUN_STATES = {
    "waiting": "espera para começar",
    "running": "em andamento",
    "done": "concluída",
    "failed": "falhou",
    "cancelled": "cancelada",
}
CANCEL_RUN = "Cancelar esta execução"
VERDICT = "Veredito"
HISTORY = "Execuções"
NO_RUN = "Ainda não houve execução. A agenda ou o botão acima começa uma."
NO_ADAPTERS = "Ainda não há adaptador: o modelo base responde."
STAGES = {
    "collect": "reunir",
    "train": "treinar",
    "screen": "triar",
    "examine": "examinar",
    "decide": "decidir",
    "promote": "promover",
    "report": "relatar",
}
PROGRESS = {
    "loss": "perda",
    "validation_loss": "perda na validação",
    "examples_per_second": "exemplos por segundo",
    "seconds_left": "segundos restantes",
}
HEALTH = "Motor: {engine} · banco: {store} · livres: {disk} de disco, {memory} de memória"
GATE = "Prova"
GATE_TEXT = (
    "{sealed} de {exchanges} perguntas estão em seções lacradas ({groups}): provam adaptadores e não ensinam nenhum."
)
GATE_ITEMS = "Perguntas lacradas"
OPENING_TEXT = "Uma pergunta que alguém viu já não prova nada: abri-la a retira da prova."
OPEN_ITEM = "Abrir"
SCHEDULE = "Agenda"
CRON = "Quando (cron)"
AFTER_RATINGS = "Ou após novas avaliações aceitas"
QUIET_FROM = "Silêncio desde"
QUIET_UNTIL = "Silêncio até"
SAVE_SCHEDULE = "Salvar"
SCHEDULE_ON = "ativa"
SCHEDULE_PAUSED = "pausada"
ADAPTERS = "Adaptadores"
ADAPTER_STATES = {
    "candidate": "candidato",
    "champion": "responde agora",
    "retired": "aposentado",
    "rejected": "rejeitado",
    "withdrawn": "retirado",
}
PROVEN = "passou na prova"
UNPROVEN = "sem prova"
WINDOW = "Frases em cada janela: {size}."
HURT = "exemplos dele foram apagados"
FORGET_NOW = "Esquecer"
FORGET_TEXT = (
    "Foram apagados exemplos com que estes adaptadores aprenderam: {versions}. Esquecer retira esses adaptadores e "
    "treina de novo sem o que foi apagado; até que isso seja provado, responde um adaptador não atingido, ou o modelo "
    "base."
)
CHANGED = {
    "broke": "Revertido sozinho: metade das últimas respostas do adaptador veio vazia, sem fim ou falhou.",
    "forgotten": "Mudou porque exemplos do adaptador foram apagados.",
}
WORSE = {
    "thumbs": "Desde que {version} responde, {now} de {n_now} avaliações são positivas; antes eram {before} de "
    "{n_before}. Veja o que as pessoas dizem dele, ou reverta.",
    "support": "Desde que {version} responde, as fontes sustentam {now} do que é dito ({n_now} respostas); antes "
    "{before} ({n_before} respostas). Veja as respostas dele, ou reverta.",
}
ITS_ANSWERS = "Avaliações das respostas dele"
LEARNT_FROM = "Com o que aprendeu: {count} perguntas respondidas"
LEARNT_BY = "Aprendido por:"
ROLL_BACK = "Reverter"
PROMOTE = "Deixar responder"
PROMOTE_WHY = "Por quê"
WITHDRAW = "Retirar"
SERVICE = "Quem respondeu quando"
REPORT = "Relatório"
MOVED = "Respostas de validação que mais mudaram"
BEFORE = "Antes"
AFTER = "Depois"
LOG = "Registro"
