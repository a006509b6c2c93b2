"""What the program says of errors, in Brazilian Portuguese: by the English text, ``{}`` standing for what is put in.

Errors are raised, sent and stored in English, by parts that know no reader; whoever shows them asks for the reader's
language.
"""

from __future__ import annotations

ERRORS = {
    # Coming in
    "Please sign in.": "Entre, por favor.",
    "This is for administrators.": "Isto é só para administradores.",
    "Too many tries. Please wait {} minutes.": "Tentativas demais. Espere {} minutos.",
    "The name or the password is wrong.": "O nome ou a senha está errado.",
    "A name has 1 to 64 letters, digits and . _ @ + - in it, and nothing else.": (
        "Um nome tem de 1 a 64 letras, algarismos e . _ @ + -, e nada mais."
    ),
    "The current password is wrong.": "A senha atual está errada.",
    "This is the only administrator. Make somebody else one first.": (
        "Esta é a única conta de administrador. Dê antes esse papel a outra pessoa."
    ),
    "A password has {} to {} characters and is not your name.": (
        "Uma senha tem de {} a {} caracteres e não é o seu nome."
    ),
    "The local administrator cannot be changed.": "O administrador local não pode ser mudado.",
    "Somebody has this name already.": "Alguém já tem este nome.",
    "There is no such person.": "Não há essa pessoa.",
    "There is no such key.": "Não há essa chave.",
    "This link has been used already, or is too old. Ask an administrator for a new one.": (
        "Este link já foi usado ou é velho demais. Peça um novo a um administrador."
    ),
    "This program answers only to 127.0.0.1, [::1] and localhost.": (
        "Este programa só responde a 127.0.0.1, [::1] e localhost."
    ),
    "This request comes from another web page, which may not use this program.": (
        "Este pedido vem de outra página, que não pode usar este programa."
    ),
    "There is no such page.": "Não há essa página.",
    "What was sent is too large.": "O que foi enviado é grande demais.",
    "Something went wrong inside the program. Its log says more.": (
        "Algo deu errado dentro do programa. O registro dele diz mais."
    ),
    "The database is busy. Please try again in a moment.": (
        "O banco de dados está ocupado. Tente de novo daqui a pouco."
    ),
    "The disk is full. Free some space and try again; nothing was changed.": (
        "O disco está cheio. Libere espaço e tente de novo; nada foi mudado."
    ),
    "The database {} cannot be opened: {}": "O banco de dados {} não pode ser aberto: {}",
    # Asking
    "Please type a question.": "Escreva uma pergunta.",
    "The question is too long: {} characters, at most {} fit.": (
        "A pergunta é longa demais: {} caracteres; cabem no máximo {}."
    ),
    "The question is too long for this model. Please shorten it or ask about one thing.": (
        "A pergunta é longa demais para este modelo. Encurte-a ou pergunte sobre uma coisa só."
    ),
    "There is no such exchange in this conversation.": "Não há essa pergunta nesta conversa.",
    "There is no such exchange.": "Não há essa pergunta.",
    "There is no such conversation.": "Não há essa conversa.",
    "There is no model of that name; {} is the one to ask for.": "Não há modelo com esse nome; peça por {}.",
    "The last message must be the user's: it is the question.": (
        "A última mensagem tem de ser do usuário: ela é a pergunta."
    ),
    "This value of {} is not supported.": "Este valor de {} não é aceito.",
    # Ratings and review
    "That is a lot of ratings in a minute. Please wait a moment.": "São muitas avaliações num minuto. Espere um pouco.",
    "The answer is still being written.": "A resposta ainda está sendo escrita.",
    "That is too long: {} characters, at most {} fit.": "É longo demais: {} caracteres; cabem no máximo {}.",
    "The answer has no such passage.": "A resposta não tem esse trecho.",
    "This rating is gone, or no longer to be seen.": "Esta avaliação já não existe ou já não pode ser vista.",
    "A rating was changed since you saw it. Reload the page.": (
        "Uma avaliação mudou desde que você a viu. Recarregue a página."
    ),
    "An edited answer goes with one rating that is accepted.": (
        "Uma resposta editada vai com uma só avaliação, que é aceita."
    ),
    # Golden sets
    "There is no question in this file.": "Não há perguntas neste arquivo.",
    "At most {} questions fit.": "Cabem no máximo {} perguntas.",
    "There is no such golden question.": "Não há essa pergunta de referência.",
    "Line {}: {}": "Linha {}: {}",
    "… and {} more": "… e mais {}",
    "this is not UTF-8 text": "não é texto em UTF-8",
    "this is not JSON": "não é JSON",
    "this is not a JSON object": "não é um objeto JSON",
    "this is not CSV ({})": "não é CSV ({})",
    "the columns must be named question and answer": "as colunas têm de se chamar question e answer",
    "the question stands in line {} already": "a pergunta já está na linha {}",
    "{} is missing": "falta {}",
    "{} is not text": "{} não é texto",
    "{} is empty": "{} está vazio",
    "{} is too long": "{} é longo demais",
    # Documents
    "There is no such document.": "Não há esse documento.",
    "Only an administrator can change the documents that everybody shares.": (
        "Só um administrador pode mudar os documentos de todos."
    ),
    "Only a document that has failed can be tried again.": "Só um documento que falhou pode ser tentado de novo.",
    "There is no file or folder {}.": "Não há arquivo ou pasta {}.",
    "The path must be absolute.": "O caminho tem de ser absoluto.",
    "Files of this machine are used only by its command line. Upload them instead.": (
        "Arquivos desta máquina só são lidos para a sua linha de comando. Envie-os pela página."
    ),
    "The file cannot be read: {}.": "O arquivo não pode ser lido: {}.",
    "The file is empty.": "O arquivo está vazio.",
    "The file has more than the {} MB allowed. Split it.": "O arquivo tem mais que os {} MB permitidos. Divida-o.",
    "The file has {} MB, more than the {} MB allowed. Split it.": (
        "O arquivo tem {} MB, mais que os {} MB permitidos. Divida-o."
    ),
    "The file has {} slides, more than the {} allowed. Split it.": (
        "O arquivo tem {} slides, mais que os {} permitidos. Divida-o."
    ),
    "The file holds no text that could be read.": "O arquivo não tem texto que se possa ler.",
    "The file holds {} million characters of text, more than the {} million allowed. Split it.": (
        "O arquivo tem {} milhões de caracteres de texto, mais que os {} milhões permitidos. Divida-o."
    ),
    "The file is of a kind that cannot be read. These can: {}.": (
        "O arquivo é de um tipo que não pode ser lido. Podem ser lidos: {}."
    ),
    "The file is in Rich Text Format. Save it as .docx or PDF and add that.": (
        "O arquivo está em Rich Text Format. Salve-o como .docx ou PDF e adicione esse."
    ),
    "The file is an archive. Unpack it and add the files in it. Readable: {}.": (
        "O arquivo é um pacote. Descompacte-o e adicione os arquivos que estão nele. Podem ser lidos: {}."
    ),
    "The file unpacks to {} MB, more than the {} MB allowed. If it is sound, split it or take large pictures out.": (
        "O arquivo descompactado tem {} MB, mais que os {} MB permitidos. Se estiver bom, divida-o ou tire dele as "
        "imagens grandes."
    ),
    "The file is in an old Office format. Save it as .docx, .xlsx or .pptx and add that.": (
        "O arquivo está num formato antigo do Office. Salve-o como .docx, .xlsx ou .pptx e adicione esse."
    ),
    "The file is damaged: its end is missing or was changed. Save it again, add that.": (
        "O arquivo está danificado: falta o fim dele, ou foi mudado. Salve-o de novo e adicione esse."
    ),
    "The file is damaged or not what it seems. Open it in its own program, save it again, add that.": (
        "O arquivo está danificado ou não é o que parece. Abra-o no programa dele, salve-o de novo e adicione esse."
    ),
    "The file is protected by a password. Save a copy without one and add that.": (
        "O arquivo está protegido por senha. Salve uma cópia sem senha e adicione essa."
    ),
    "The file is {}, which cannot be read. These can: {}.": (
        "O arquivo é {}, que não pode ser lido. Podem ser lidos: {}."
    ),
    "text, Markdown, HTML, PDF, Word (.docx), PowerPoint (.pptx), Excel (.xlsx), CSV and EPUB": (
        "texto, Markdown, HTML, PDF, Word (.docx), PowerPoint (.pptx), Excel (.xlsx), CSV e EPUB"
    ),
    "The PDF has {} pages, more than the {} allowed. Split it.": (
        "O PDF tem {} páginas, mais que as {} permitidas. Divida-o."
    ),
    "The PDF holds pictures of pages but no text (a scan, perhaps). Run text recognition (OCR) on it first.": (
        "O PDF tem imagens de páginas mas nenhum texto (talvez seja digitalizado). Faça antes o reconhecimento de "
        "texto (OCR)."
    ),
    "The PDF is damaged and cannot be opened. Save or export it again and add that.": (
        "O PDF está danificado e não pode ser aberto. Salve-o ou exporte-o de novo e adicione esse."
    ),
    "The PDF is protected by a password. Save a copy without one and add that.": (
        "O PDF está protegido por senha. Salve uma cópia sem senha e adicione essa."
    ),
    "Reading the file was interrupted. Try again.": "A leitura do arquivo foi interrompida. Tente de novo.",
    "Reading the file took more than the {} seconds allowed. Split it, or save it again.": (
        "A leitura do arquivo levou mais que os {} segundos permitidos. Divida-o, ou salve-o de novo."
    ),
    "Reading the file failed: it is damaged, or needs more memory than allowed. Save it again or split it.": (
        "A leitura do arquivo falhou: ele está danificado ou precisa de mais memória do que se permite. Salve-o de "
        "novo ou divida-o."
    ),
    "Reading the file needs more than the {} MB allowed. Split it.": (
        "A leitura do arquivo precisa de mais que os {} MB permitidos. Divida-o."
    ),
    "Something went wrong while the file was being indexed; the log has the details. Try again.": (
        "Algo deu errado enquanto o arquivo era lido; o registro tem os detalhes. Tente de novo."
    ),
    "The file is gone from the program's own folder. Add it again.": (
        "O arquivo sumiu da pasta do programa. Adicione-o de novo."
    ),
    "The program is ending; what is unfinished goes on at its next start.": (
        "O programa está terminando; o que falta continua quando ele voltar."
    ),
    "The vector index failed: {}": "O índice de vetores falhou: {}",
    "The vector index cannot be used: {}": "O índice de vetores não pode ser usado: {}",
    "The embedding model {} is neither a folder nor can it be downloaded.": (
        "O modelo de vetores {} não é uma pasta nem pode ser baixado."
    ),
    "The embedding model {} cannot be loaded: {}": "O modelo de vetores {} não pode ser carregado: {}",
    # The language model
    "The language model is being loaded. Questions wait for it.": (
        "O modelo de linguagem está sendo carregado. As perguntas esperam por ele."
    ),
    "The language model is being prepared. Ask again in a moment.": (
        "O modelo de linguagem está sendo preparado. Pergunte de novo daqui a pouco."
    ),
    "The language model could not be loaded: {}": "O modelo de linguagem não pôde ser carregado: {}",
    "The language model {} cannot be loaded. It must be a folder, or a name on the Hugging Face hub (the network is "
    "then needed once), with its weights as safetensors: {}": (
        "O modelo de linguagem {} não pode ser carregado. Tem de ser uma pasta, ou um nome no hub da Hugging Face (a "
        "rede é então necessária uma vez), com os pesos em safetensors: {}"
    ),
    "The language model {} is damaged or of an unknown kind: {}": (
        "O modelo de linguagem {} está danificado ou é de um tipo desconhecido: {}"
    ),
    "The language model {} is damaged: its weights are incomplete.": (
        "O modelo de linguagem {} está danificado: os pesos estão incompletos."
    ),
    "The language model failed: {}": "O modelo de linguagem falhou: {}",
    "The language model has been stopped.": "O modelo de linguagem foi parado.",
    "The language model is starting: {} s so far, about a minute in all. Questions wait for it.": (
        "O modelo de linguagem está iniciando: {} s até agora, cerca de um minuto no total. As perguntas esperam."
    ),
    "The language model stopped and is being started again. Questions wait for it.": (
        "O modelo de linguagem parou e está sendo reiniciado. As perguntas esperam por ele."
    ),
    "The language model does not answer and is being looked at. Questions wait for it.": (
        "O modelo de linguagem não responde e está sendo verificado. As perguntas esperam por ele."
    ),
    "The language model at {} is being waited for.": "Espera-se pelo modelo de linguagem em {}.",
    "The language model at {} does not answer. Questions wait for it.": (
        "O modelo de linguagem em {} não responde. As perguntas esperam por ele."
    ),
    "The database cannot be used: {}": "O banco de dados não pode ser usado: {}",
    "The adapter {} is damaged: its weights are not those that were added.": (
        "O adaptador {} está danificado: seus pesos não são os que foram adicionados."
    ),
    "What is at {} does not answer as vLLM does ({}). Questions wait.": (
        "O que está em {} não responde como o vLLM ({}). As perguntas esperam."
    ),
    "vLLM cannot be started: {}": "O vLLM não pode ser iniciado: {}",
    "The language model at {} is left out: {}": "O modelo de linguagem em {} fica de fora: {}",
    "The language model stopped in the middle of this. Ask again: it is being started again.": (
        "O modelo de linguagem parou no meio disto. Pergunte de novo: ele está sendo reiniciado."
    ),
    "The language model refused the question: {}": "O modelo de linguagem recusou a pergunta: {}",
    "The question and its passages do not fit the model: {}": "A pergunta e os trechos não cabem no modelo: {}",
    "Question and passages ({} tokens) and an answer of {} do not fit the model's {}.": (
        "A pergunta com os trechos ({} tokens) e uma resposta de {} não cabem nos {} do modelo."
    ),
    "The model {} has no chat template: take one made for chat.": (
        "O modelo {} não tem formato de conversa: escolha um feito para conversar."
    ),
    "The model's chat template refuses this conversation: {}": (
        "O formato de conversa do modelo recusa esta conversa: {}"
    ),
    "There is no vLLM in {}. Install it with 'make vllm'.": "Não há vLLM em {}. Instale-o com 'make vllm'.",
    "vLLM ended while it was starting. The end of {}:\n{}": "O vLLM terminou enquanto iniciava. O fim de {}:\n{}",
    "vLLM at {} serves {}, not {}.": "O vLLM em {} serve {}, e não {}.",
    "vLLM at {} takes no adapters: start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.": (
        "O vLLM em {} não aceita adaptadores: inicie-o com --enable-lora e VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
    ),
    # Adapters
    "There is no adapter {}.": "Não há o adaptador {}.",
    "There is no such command.": "Não há esse comando.",
    "The base model itself answers: there is nothing to roll back to.": (
        "Quem responde é o próprio modelo base: não há para onde voltar."
    ),
    "A version is missing.": "Falta uma versão.",
    "it says nothing.": "não diz nada.",
    "The adapter {} was trained for {}, not for {}.": "O adaptador {} foi treinado para {}, e não para {}.",
    "The adapter {} was trained for the model {}, not for this one.": (
        "O adaptador {} foi treinado para o modelo {}, e não para este."
    ),
    "The adapter {} was trained with prompt format {}; questions are asked in format {} now.": (
        "O adaptador {} foi treinado com o formato de prompt {}; agora se pergunta no formato {}."
    ),
    "The adapter {} does not answer a test question: {}": "O adaptador {} não responde a uma pergunta de teste: {}",
    "The adapter {} is not loaded.": "O adaptador {} não está carregado.",
    "An adapter {} is loaded already; versions never change.": (
        "Um adaptador {} já está carregado; versões nunca mudam."
    ),
    "The adapter {} does not fit this model: its tensors are others.": (
        "O adaptador {} não serve para este modelo: os tensores são outros."
    ),
    "The adapter {} cannot be loaded: {}": "O adaptador {} não pode ser carregado: {}",
    "The adapter {} cannot be added: {}": "O adaptador {} não pode ser adicionado: {}",
    "The adapter {} is not LoRA.": "O adaptador {} não é LoRA.",
    "The adapter {} is not plain LoRA: its {} is {}.": "O adaptador {} não é LoRA simples: {} é {}.",
    "The adapter {} has a rank outside 1 to {}: {}.": "O adaptador {} tem um posto fora de 1 a {}: {}.",
    "The adapter {} changes {}, which cannot be served.": "O adaptador {} muda {}, o que não pode ser servido.",
    "The adapter {} holds no {}; weights in other forms are not read.": (
        "O adaptador {} não tem {}; pesos em outras formas não são lidos."
    ),
    "The adapter {} holds no {}.": "O adaptador {} não tem {}.",
    "The adapter {} is missing: {} holds no {}.": "Falta o adaptador {}: {} não tem {}.",
    "The adapter {} is damaged: its files are not those of its manifest.": (
        "O adaptador {} está danificado: os arquivos não são os do manifesto."
    ),
    "The adapter {} is damaged: {} is not an object.": "O adaptador {} está danificado: {} não é um objeto.",
    "The adapter {} is damaged: {} cannot be read: {}": "O adaptador {} está danificado: {} não pode ser lido: {}",
    "The adapter {} is damaged: {}": "O adaptador {} está danificado: {}",
    # Judges, training, the gate and backups
    "All {} tries of this year are spent. The next one can be had on {}; until then the candidate stays one.": (
        "As {} tentativas deste ano foram gastas. A próxima estará disponível em {}; até lá nada muda."
    ),
    "No adapter can be made for the model {}: {}": "Não se pode fazer um adaptador para o modelo {}: {}",
    "Question and passages (about {} tokens) and an answer of {} do not fit the model's {}.": (
        "A pergunta e os trechos (cerca de {} tokens) e uma resposta de {} não cabem nos {} do modelo."
    ),
    "Run {} ({}) is at work. Wait for its end, or cancel it.": (
        "A execução {} ({}) está em andamento. Espere o fim dela ou cancele-a."
    ),
    "Run {} is {} already.": "A execução {} já está {}.",
    "Run {} {} already.": "A execução {} já {}.",
    "The adapter {} answers now. Roll back first.": ("O adaptador {} está respondendo agora. Volte antes ao anterior."),
    "The adapter {} did not pass the gate.": "O adaptador {} não passou pelo portão.",
    "The adapter {} did not pass the gate. Say why it shall answer all the same.": (
        "O adaptador {} não passou pelo portão. Diga por que ele deve responder mesmo assim."
    ),
    "The adapter {} learnt from what was deleted since.": "O adaptador {} aprendeu com algo que foi apagado depois.",
    "The adapters were changed since {} was proven, so nothing is proven any more.": (
        "Os adaptadores mudaram depois que {} foi provado; nada mais está provado."
    ),
    "The adapter {} does not answer any more. Look again.": "O adaptador {} já não responde. Olhe de novo.",
    "The adapter {} was withdrawn.": "O adaptador {} foi retirado.",
    "The answer broke off. Ask again.": "A resposta foi interrompida. Pergunte de novo.",
    "The backup cannot be put into {}: {}": "A cópia de segurança não pode ser posta em {}: {}",
    "The backup in {} cannot be written: {}": "A cópia de segurança em {} não pode ser gravada: {}",
    "The database cannot be copied: {}": "O banco de dados não pode ser copiado: {}",
    "The judge in {} cannot be loaded: {}": "O juiz em {} não pode ser carregado: {}",
    "The judge in {} was trained for {}, not for {}.": "O juiz em {} foi treinado para {}, não para {}.",
    "There is no such file yet.": "Esse arquivo ainda não existe.",
    "There is no such event.": "Não há esse evento.",
    "There is no such item.": "Não há esse item.",
    "There is no such run.": "Não há essa execução.",
    "This sentence is gone, or somebody has judged it already.": "Esta frase já não existe, ou alguém já a julgou.",
    "{} cannot be reached: {}": "Não se alcança {}: {}",
    "{} does not answer: {}": "{} não responde: {}",
    "{} does not serve this model: {}": "{} não serve este modelo: {}",
    "{} is damaged: {} is not what was backed up.": "{} está danificado: {} não é o que foi copiado.",
    "{} is no whole backup: it does not hold the files that its {} names.": (
        "{} não é uma cópia inteira: não contém os arquivos que o seu {} nomeia."
    ),
    "{} is no whole backup: its {} cannot be read.": "{} não é uma cópia inteira: o seu {} não pode ser lido.",
    "No adapter learnt from anything that was deleted.": "Nenhum adaptador aprendeu com algo que foi apagado.",
    "Run {} may learn from it still. Wait for its end, or cancel it.": (
        "A execução {} ainda pode aprender com isso. Espere o fim dela, ou cancele-a."
    ),
    "{} refuses the key (remote.key): {}": "{} recusa a chave (remote.key): {}",
}

CHECKS = {
    # What pydantic says of a field; a page of ours sends nothing of the kind, a program may.
    "Field required": "falta este campo",
    "Extra inputs are not permitted": "este campo não existe",
    "String should have at most {} characters": "o texto deve ter no máximo {} caracteres",
    "String should have at least {} characters": "o texto deve ter no mínimo {} caracteres",
    "String should have at least {} character": "o texto deve ter no mínimo {} caractere",
    "Input should be {}": "deve ser {}",
}
