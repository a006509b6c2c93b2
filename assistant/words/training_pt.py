"""What a run of the trainer says, in Brazilian Portuguese: by the English text, as in ``errors_pt``."""

from __future__ import annotations

PHASES = {
    "collecting": "juntando exemplos",
    "measuring the base model": "medindo o modelo base",
    "learning rate {} ({} of {})": "taxa de aprendizado {} ({} de {})",
    "training": "treinando",
    "learning from what was rejected": "aprendendo com o que foi rejeitado",
    "writing": "gravando",
    "validation answers of the {}": "respostas de validação: {}",
    "candidate": "candidato",
    "champion": "campeão",
    "answers of {}": "respostas de {}",
    "twins of {}": "gêmeas de {}",
    "scores": "notas",
    "done": "pronto",
    "waiting for {}": "esperando: {}",
    "asking for the job": "pedindo o trabalho",
    "uploading": "enviando",
    "the service does not answer, asking again": "o serviço não responde, perguntando de novo",
    "at the service: {}": "no serviço: {}",
}

ERRORS = {
    # The cycle
    "A cycle trains on this machine: nothing is sent to a service without somebody's word. Set training.trainer to "
    "lora, or use launch.py retrain and promote the result by hand.": (
        "Um ciclo treina nesta máquina: nada é enviado a um serviço sem a palavra de alguém. Defina training.trainer "
        "como lora, ou use launch.py retrain e promova o resultado à mão."
    ),
    "Its process died {} times; the log of the run says more.": (
        "O processo dela morreu {} vezes; o registro da execução diz mais."
    ),
    "The adapter {} could not be changed.": "O adaptador {} não pôde ser mudado.",
    "The training failed unexpectedly; the log says more.": (
        "O treinamento falhou de modo inesperado; o registro diz mais."
    ),
    "Run {} ({}) is at work. Wait for its end, or cancel it. If it was killed, ask again in a minute.": (
        "A execução {} ({}) está trabalhando. Espere o fim dela, ou cancele-a. Se foi morta, peça de novo daqui a um "
        "minuto."
    ),
    "The training died without a word; {} may say why. Ask again in a minute to go on.": (
        "O treinamento morreu sem dizer nada; {} talvez diga por quê. Peça de novo daqui a um minuto para continuar."
    ),
    # What it would take
    "training.device is cuda, and there is no GPU that torch can use here.": (
        "training.device é cuda, e não há aqui GPU que o torch possa usar."
    ),
    "training.four_bit needs a GPU.": "training.four_bit precisa de uma GPU.",
    "training.four_bit cannot be used: {}": "training.four_bit não pode ser usado: {}",
    "Training needs about {} of memory on {} and {} are free. Nothing was started. End what uses it, or take {}.": (
        "O treinamento precisa de cerca de {} de memória em {} e {} estão livres. Nada foi iniciado. Encerre o que a "
        "usa, ou escolha {}."
    ),
    "training.four_bit = true or a smaller model": "training.four_bit = true ou um modelo menor",
    "a smaller model": "um modelo menor",
    "Training needs about {} of disk and {} are free. Nothing was started. Free some.": (
        "O treinamento precisa de cerca de {} de disco e {} estão livres. Nada foi iniciado. Libere espaço."
    ),
    "Training would take about {}, more than the {} hours allowed (training.hours). Nothing was started. Raise the "
    "limit, lower training.examples or training.epochs, or train on a GPU.": (
        "O treinamento levaria cerca de {}, mais que as {} horas permitidas (training.hours). Nada foi iniciado. "
        "Aumente o limite, diminua training.examples ou training.epochs, ou treine em uma GPU."
    ),
    # The dataset, the model and the adapter
    "{} holds no whole dataset: {}": "{} não contém um conjunto de dados inteiro: {}",
    "The dataset has no training example that fits the model.": (
        "O conjunto de dados não tem exemplo de treinamento que caiba no modelo."
    ),
    "The model {} cannot be trained: it computes all logits or none.": (
        "O modelo {} não pode ser treinado: ele calcula todos os logits ou nenhum."
    ),
    "The training at the learning rate {} diverged, so no adapter was made.": (
        "O treinamento com a taxa de aprendizado {} divergiu; nenhum adaptador foi feito."
    ),
    "No learning rate is any use, so no adapter was made: {}.": (
        "Nenhuma taxa de aprendizado serve; nenhum adaptador foi feito: {}."
    ),
    "The training failed: {}. No adapter was made.": "O treinamento falhou: {}. Nenhum adaptador foi feito.",
    "The adapter could not be written to {}: {}. No adapter was made.": (
        "O adaptador não pôde ser gravado em {}: {}. Nenhum adaptador foi feito."
    ),
    "{} is there already; adapters never change.": "{} já existe; adaptadores nunca mudam.",
    # A service
    "Its job {} may still run at the service, and cost. Cancel it there.": (
        "O trabalho {} dela talvez ainda esteja em curso no serviço, e custe. Cancele-o lá."
    ),
    "OpenAI asks for {} examples at least; there are {}.": "A OpenAI pede ao menos {} exemplos; há {}.",
    "This would cost about ${}, more than the ${} agreed. Nothing was sent.": (
        "Isto custaria cerca de ${}, mais que os ${} combinados. Nada foi enviado."
    ),
    "remote.key is missing: give it as FIEL_REMOTE__KEY. Nothing was sent.": (
        "Falta remote.key: dê-a como FIEL_REMOTE__KEY. Nada foi enviado."
    ),
    "{} made no model: {}": "{} não fez modelo nenhum: {}",
    "{} refuses: {}": "{} recusa: {}",
    "{} cannot be reached: {}. Ask again: a job that was begun is followed.": (
        "Não se alcança {}: {}. Peça de novo: um trabalho que começou é acompanhado."
    ),
    "The {} file is larger than OpenAI takes (512 MB). Lower training.examples.": (
        "O arquivo {} é maior do que a OpenAI aceita (512 MB). Diminua training.examples."
    ),
    "The example of exchange {} is no question with an answer.": (
        "O exemplo da pergunta {} não é uma pergunta com resposta."
    ),
    "The example of exchange {} has a message of an unknown role: {}.": (
        "O exemplo da pergunta {} tem uma mensagem de papel desconhecido: {}."
    ),
    "The example of exchange {} has an empty message.": "O exemplo da pergunta {} tem uma mensagem vazia.",
    # The study of windows
    "There is no question of the validation side whose documents are as they were.": (
        "Não há pergunta do lado de validação cujos documentos estejam como eram."
    ),
    "The gate has {} questions that can be asked anew; {} are needed.": (
        "O portão tem {} perguntas que podem ser feitas de novo; são necessárias {}."
    ),
}
